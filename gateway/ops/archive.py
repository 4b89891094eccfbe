"""What `bianmin db archive` does beside the core: month by month's rows out of the book, in small commits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway.core.archive import (
    Archived,
    ArchiveMessages,
    ArchivePayments,
    ArchiveRecords,
    CheckMonths,
    CountPayments,
    MonthsView,
)
from gateway.ops.desk import Desk
from gateway.ops.shared import NotSo
from gateway.store.port import StoreBusy

BATCH = 100
PAUSE_S = 0.01
"""Between two commits, so that payments never wait for more than one."""
TRIES = 20
RETRY_S = 0.25


@dataclass(slots=True)
class Summary:
    """What was moved, or would be. stayed: payments, by the reason why."""

    payments: int = 0
    rows: int = 0
    records: int = 0
    messages: int = 0
    stayed: Counter[str] = field(default_factory=Counter)


def first_of(month: str) -> str:
    """The first day of `YYYY-MM`. ValueError for anything else."""
    first = date.fromisoformat(f"{month}-01")
    if first.isoformat()[:7] != month:
        raise ValueError(month)
    return first.isoformat()


async def check_months(desk: Desk, before: str) -> None:
    """NotSo unless every day before this date is over and closed."""
    view: MonthsView = await desk.look(CheckMonths(before=before))
    if not view.over:
        raise NotSo(f"the months before {before} are not over")
    if view.open_days:
        raise NotSo(f"not closed, or with open payments: {', '.join(view.open_days)}")


async def count(desk: Desk, before: str) -> Summary:
    """What archive() would move now; payments alone."""
    await check_months(desk, before)
    summary = Summary()

    async def look(after: str) -> Archived:
        reply: Archived = await desk.look(CountPayments(before=before, after=after))
        return reply

    async for reply in _pages(look):
        _add(summary, reply)
    return summary


async def archive(desk: Desk, before: str, *, limit: int = BATCH) -> Summary:
    """Move everything that may leave, `limit` payments a commit. Killed at any moment, the next run goes on.

    Payments first: then no record and no message of theirs is needed here.
    """
    await check_months(desk, before)
    summary = Summary()
    async for reply in _pages(lambda after: _run(desk, ArchivePayments(before=before, after=after, limit=limit))):
        _add(summary, reply)
    async for reply in _pages(lambda after: _run(desk, ArchiveRecords(before=before, after=after))):
        summary.records += reply.moved
    async for reply in _pages(lambda after: _run(desk, ArchiveMessages(before=before, after=after))):
        summary.messages += reply.moved
    return summary


def _add(summary: Summary, reply: Archived) -> None:
    summary.payments += reply.moved
    summary.rows += reply.rows
    summary.stayed.update(reply.stayed)


async def _run(desk: Desk, item: Any) -> Archived:
    """One commit; a book that is busy is asked again, for what was moved is not found again."""
    for _ in range(TRIES - 1):
        try:
            reply: Archived = await desk.run(item)
        except StoreBusy:
            await asyncio.sleep(RETRY_S)
        else:
            return reply
    last: Archived = await desk.run(item)
    return last


async def _pages(ask: Callable[[str], Awaitable[Archived]]) -> AsyncIterator[Archived]:
    after: str | None = ""
    while after is not None:
        reply = await ask(after)
        yield reply
        after = reply.after
        await asyncio.sleep(PAUSE_S)
