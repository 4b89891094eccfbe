"""That an audit was made and what it found, kept for the people who watch: two numbers of the installation."""

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Kept, Reply
from gateway.core.rows import Setting
from gateway.core.steps import Now, Read, Work

AUDIT_AT = "audit_at"
"""Setting, ms: when the newest audit of the whole book ended."""
AUDIT_VIOLATIONS = "audit_violations"
"""Setting: how many violations it found; 0 is clean."""


class KeepAudit(Item, frozen=True, kw_only=True):
    """An audit ended now, with so many violations (≥ 0)."""

    violations: int


def keep_audit(items: Sequence[KeepAudit], env: Env) -> Work[list[Reply]]:
    """The last of the batch is the newest. Replies: Kept."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("settings_locked", [(AUDIT_AT,), (AUDIT_VIOLATIONS,)])))
    for name, value in ((AUDIT_AT, now), (AUDIT_VIOLATIONS, items[-1].violations)):
        held = book.get(Setting, name)
        if held is None:
            book.add(Setting(name=name, value=value))
        else:
            book.put(replace(held, value=value))
    yield book.write()
    return [Kept(count=1) for _ in items]
