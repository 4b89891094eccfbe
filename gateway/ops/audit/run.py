"""Running the checks: one snapshot, one after the other, in slices."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gateway.clock import SystemClock, now_ms
from gateway.core.env import Env
from gateway.ops.audit import (
    balances,
    carried,
    certified,
    dossiers,
    handed,
    keys,
    messages,
    placed,
    replays,
    ruled,
    rulings,
    sealed,
    signed,
)
from gateway.ops.audit.about import About, Auditor
from gateway.ops.audit.report import Checked, Report, make_report
from gateway.ops.whole import WholeBook
from gateway.store.port import Snapshot

T = TypeVar("T")
GROUP = "bianmin.audits"


class HasSnapshot(Protocol):
    """Whoever gives snapshots of a book; every Store does."""

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        ...


def auditors() -> list[Auditor]:
    """The gateway's own parts, then other rooms' by name."""
    own: list[Auditor] = [
        ruled.check,
        balances.check,
        dossiers.check,
        keys.check,
        signed.check,
        messages.check,
        placed.check,
        sealed.check,
        carried.check,
        certified.check,
        rulings.check,
        handed.check,
        replays.check,
    ]
    others: list[Auditor] = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)]
    return own + others


async def audit(store: HasSnapshot, env: Env | None = None, *, at_ms: int | None = None, full: bool = False) -> Report:
    """Check the book as of one moment. at_ms: the moment, by default now. full: its archive too. Raises StoreError."""
    about = About(env=env, now_ms=now_ms(SystemClock()) if at_ms is None else at_ms, full=full)

    async def look(snapshot: Snapshot) -> Report:
        found: list[Checked] = []
        read = WholeBook(snapshot) if full else snapshot
        for part in auditors():
            found += await part(read, about)
        return make_report(found)

    return await store.snapshot(look)


def audit_sqlite(path: Path, env: Env | None = None, *, at_ms: int | None = None, full: bool = False) -> Report:
    """The same for a SQLite file, from code that is not asynchronous (or is: it runs in a thread of its own)."""

    class File:
        async def snapshot(self, use: Callable[[Snapshot], Awaitable[Any]]) -> Any:
            from gateway.store.sqlite.readers import take_snapshot

            return await take_snapshot(path, use)

    with ThreadPoolExecutor(1, "audit") as thread:
        return thread.submit(lambda: asyncio.run(audit(File(), env, at_ms=at_ms, full=full))).result()
