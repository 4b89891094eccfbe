"""A lease as whoever acts under it shows it."""

import msgspec

from gateway.core.book import Book
from gateway.core.rows import Lease

RELAY, RESOLVER, SEALER = "relay", "resolver", "sealer"
"""Jobs that one process does at a time."""


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job under a lease. epoch: the fencing token, which the book gave with the lease and never gives again."""

    name: str
    owner: str
    epoch: int


def still_held(held: Held, book: Book) -> bool:
    """Whether nobody has taken the lease since, by its row in the book. Time alone ends nothing: who was slow and has
    not been replaced may go on."""
    lease = book.get(Lease, held.name)
    return lease is not None and (lease.owner, lease.fence) == (held.owner, held.epoch)
