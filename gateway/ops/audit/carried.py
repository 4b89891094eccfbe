"""What has left the book for the archive: carried forward to the fen, and in one place only."""

# ruff: noqa: S608 - names of our own structs

from collections.abc import Iterator, Sequence

from gateway.core.rows import ARCHIVED, ArchiveTotal
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows, records
from gateway.ops.whole import WholeBook
from gateway.store.port import Snapshot
from gateway.store.shapes import archive_of, shape_of

_HELD = (
    "SELECT substr(p.account_date, 1, 7), l.account, l.owner, CAST(SUM(l.amount_fen) AS BIGINT), count(*)"
    " FROM archive_postings l JOIN archive_transactions t ON t.txn_id = l.txn_id"
    " JOIN archive_payments p ON p.gateway_serial = t.gateway_serial"
    " GROUP BY substr(p.account_date, 1, 7), l.account, l.owner"
)
_LEGS = "SELECT count(*) FROM archive_postings"
Held = dict[tuple[str, str, str], tuple[int, int]]


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """archive: months that balance and no row in both places; with the whole book, sums of what is really there."""
    book = snapshot.book if isinstance(snapshot, WholeBook) else snapshot
    found = Findings("archive")
    totals = {(row.month, row.account, row.owner): row for row in await all_rows(book, ArchiveTotal)}
    by_month: dict[str, int] = {}
    for row in totals.values():
        by_month[row.month] = by_month.get(row.month, 0) + row.amount_fen
    for month, amount in sorted(by_month.items()):
        found.take(month, [f"its carried balances sum to {amount}"] if amount else [])
    for shape in map(shape_of, ARCHIVED):
        found.rows += 1
        same = " AND ".join(f"a.{name} = t.{name}" for name in shape.key)
        keys = " || ' ' || ".join(f"CAST(t.{name} AS TEXT)" for name in shape.key)
        sql = f"SELECT {keys} FROM {shape.table} t WHERE EXISTS (SELECT 1 FROM {archive_of(shape)} a WHERE {same})"
        async for (about_row,) in records(book, sql):
            found.add(str(about_row), f"it is in {shape.table} and in its archive")
    if about.full:
        held: Held = {(m, a, o): (amount, legs) async for m, a, o, amount, legs in records(book, _HELD)}
        carried = {place: (row.amount_fen, row.legs) for place, row in totals.items()}
        for place in sorted(held.keys() | carried.keys()):
            found.take(" ".join(place), _differences(held.get(place, (0, 0)), carried.get(place, (0, 0))))
        async for (legs,) in records(book, _LEGS):
            if legs != sum(count for _, count in held.values()):
                found.add("the archive", f"it holds {legs} legs, and not all of them belong to a payment of it")
    return [found.checked()]


def _differences(held: tuple[int, int], carried: tuple[int, int]) -> Iterator[str]:
    if held != carried:
        yield f"{carried[0]} fen in {carried[1]} legs are carried, the archive holds {held[0]} fen in {held[1]}"
