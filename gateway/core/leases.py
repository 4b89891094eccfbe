"""Leases: of the processes that could do a job, one does it; by the database's clock, fenced by an epoch (design s3.5).

A lease orders what we write ourselves. It never proves that a process that was paused will not send.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.held import Held, still_held
from gateway.core.items import Item, Kept, Reply
from gateway.core.rows import Lease
from gateway.core.steps import Claim, Now, Read, Work

LEASE_MS = 5_000
"""How long a lease is good for after it was taken or renewed."""


class HoldLeases(Item, frozen=True, kw_only=True):
    """Take these leases where they are free, renew those that `owner` has.

    sole: the process knows that no other has this book open (SQLite's writer lock), so it waits for no dead one.
    """

    owner: str
    names: list[str]
    sole: bool = False


class DropLeases(Item, frozen=True, kw_only=True):
    """The process ends: others may take these now. One that has moved on is left alone."""

    held: list[Held]


class LeasesHeld(Reply, frozen=True, kw_only=True):
    """Those of the leases asked for that are the asker's, for LEASE_MS from the moment of asking at least."""

    held: list[Held]


def hold_leases(items: Sequence[HoldLeases], env: Env) -> Work[list[Reply]]:
    """Decide who has what. Replies: LeasesHeld."""
    now: int = yield Now()
    names = sorted({(name,) for item in items for name in item.names})
    book = Book()
    book.load((yield Read("leases_locked", names)))
    missing = [Lease(name=name, owner="", until=0, fence=0) for (name,) in names if book.get(Lease, name) is None]
    if missing:
        yield Claim(missing)
        book.load((yield Read("leases_locked", names)))
    replies = [_hold(item, book, now) for item in items]
    yield book.write()
    return replies


def _hold(item: HoldLeases, book: Book, now: int) -> Reply:
    held: list[Held] = []
    for name in item.names:
        lease = book.need(Lease, name)
        if lease.owner == item.owner:
            book.put(replace(lease, until=now + LEASE_MS))
            held.append(Held(name=name, owner=item.owner, epoch=lease.fence))
        elif item.sole or lease.until <= now:
            book.put(replace(lease, owner=item.owner, until=now + LEASE_MS, fence=lease.fence + 1))
            held.append(Held(name=name, owner=item.owner, epoch=lease.fence + 1))
        elif lease.until > now + LEASE_MS:
            # Written by a clock that was ahead (another server after a fail-over): it must not block us as long.
            book.put(replace(lease, until=now + LEASE_MS))
    return LeasesHeld(held=held)


def drop_leases(items: Sequence[DropLeases], env: Env) -> Work[list[Reply]]:
    """Free leases. Replies: Kept."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("leases_locked", sorted({(held.name,) for item in items for held in item.held}))))
    for item in items:
        for held in item.held:
            if still_held(held, book):
                book.put(replace(book.need(Lease, held.name), until=now))
    yield book.write()
    return [Kept(count=len(item.held)) for item in items]
