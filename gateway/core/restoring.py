"""A book that is a restored copy calls nobody until it is made safe (M4)."""

from gateway.core.book import Book
from gateway.core.rows import Setting
from gateway.core.steps import Read, Work

RESTORING = "restoring"
"""Setting: since when (ms) the book is being made safe, or must be; 0 or absent: it may be served."""
RESTORES = "restores"
"""Setting: how often the book was restored. Whoever has it open notices that it has grown."""


def read_restoring(book: Book) -> Work[None]:
    """What `is_restoring` needs."""
    book.load((yield Read("settings", [(RESTORING,)])))


def is_restoring(book: Book) -> bool:
    """Whether the book is closed. It must have been read."""
    setting = book.get(Setting, RESTORING)
    return setting is not None and setting.value != 0
