"""What was signed is kept: leaves, chain, days and their signatures, recomputed (M11)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from certs.core import seals
from certs.core.certificates import Certificate, CertificateError, Role, parse_certificate
from certs.core.signatures import holds
from gateway.core.env import rfc3339
from gateway.core.rows import Record, Seal
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows, columns, records
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

UNSEALED_MS = 60_000
_RECORDS = f"SELECT {columns(Record)} FROM records t"  # noqa: S608 - names of our own struct
_FIRST = "SELECT MIN(day) FROM records"
_PLACES = "SELECT day, position, chain, leaf, record_id FROM records WHERE day >= :first ORDER BY day, position"
# A day may lie in both places: in the archive what has left with its payment, in the book what has not.
_BOTH_PLACES = (
    "SELECT day, position, chain, leaf, record_id FROM records WHERE day >= :first UNION ALL"
    " SELECT day, position, chain, leaf, record_id FROM archive_records WHERE day >= :first ORDER BY day, position"
)
_LAG = (
    "SELECT count(*), MIN(received_at), (SELECT MAX(received_at) FROM records WHERE day IS NOT NULL)"
    " FROM records WHERE day IS NULL"
)
_KEYS = "SELECT keyid, der FROM certificates WHERE role = 'archive'"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One day as its records give it."""

    day: str
    count: int
    root: bytes
    chain_end: bytes


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """leaves, chain, seals, seal-lag."""
    chain = Findings("chain")
    closed = {row.day: row for row in await all_rows(snapshot, Seal, "ORDER BY t.day")}
    first = await _first(snapshot)
    # The days before are wholly in the archive: the chain goes on from what their last seal says.
    before = max((day for day in closed if day < first), default="")
    end = closed[before].chain_end if before and not about.full else seals.GENESIS
    days = await _walk(snapshot, chain, _PLACES if about.full else _BOTH_PLACES, first, end)
    sealed = await _seals(snapshot, closed, days, first="" if about.full else first)
    return [await _leaves(snapshot), chain.checked(), sealed, await _lag(snapshot, about)]


async def _first(snapshot: Snapshot) -> str:
    """The oldest day of which the book holds a record."""
    async for (day,) in records(snapshot, _FIRST):
        return day or ""
    return ""


async def _leaves(snapshot: Snapshot) -> Checked:
    found = Findings("leaves")
    build = shape_of(Record).build
    async for values in records(snapshot, _RECORDS):
        record = build(values)
        assert isinstance(record, Record)
        wrong = leaf_of(record) != record.leaf
        found.take(record.record_id, ["its leaf is not the hash of the record"] if wrong else [])
    return found.checked()


def leaf_of(record: Record) -> bytes:
    """The leaf a record must have."""
    return seals.leaf(
        seals.Record(
            record_id=record.record_id,
            kind=record.kind,
            received_at=rfc3339(record.received_at),
            base=record.base,
            signature=record.signature,
            body=record.body,
            keyid=record.keyid or "",
        )
    )


async def _walk(snapshot: Snapshot, found: Findings, places: str, first: str, end: bytes) -> list[Sealed]:
    """Positions without a gap, each link from the one before, across days; what each day comes to."""
    days: list[Sealed] = []
    position, current, tree = 0, "", seals.Frontier()
    async for day, at, link, leaf, record_id in records(snapshot, places, {"first": first}):
        if day != current:
            if current:
                days.append(Sealed(current, tree.count, tree.root(), end))
            current, position, tree = day, 0, seals.Frontier()
        wrong = []
        if at != position + 1:
            wrong.append(f"place {at} of {day} follows place {position}")
        if link != seals.chain(end, leaf):
            wrong.append(f"its link at {day} {at} is not the hash of the one before and its leaf")
        found.take(record_id, wrong)
        end, position = link, at
        tree.add(leaf)
    if current:
        days.append(Sealed(current, tree.count, tree.root(), end))
    return days


async def _seals(snapshot: Snapshot, rows: Mapping[str, Seal], days: Sequence[Sealed], *, first: str) -> Checked:
    """Every day but the newest is closed, by a statement that says what its records give; signatures hold.

    first: days before it have no records here, only what their own seals say.
    """
    found = Findings("seals")
    archive: dict[str, bytes] = {keyid: der async for keyid, der in records(snapshot, _KEYS)}
    previous = seals.GENESIS
    by_day = {day.day: day for day in days}
    for day in days[:-1]:
        if day.day not in rows:
            found.add(day.day, "a later day has begun and this one has no seal")
    for name, row in sorted(rows.items()):
        own = Sealed(row.day, row.count, row.root, row.chain_end)
        found.take(name, judge_seal(row, by_day.get(name) if name >= first else own, previous, archive))
        previous = seals.statement_hash(row.statement)
    return found.checked()


def judge_seal(row: Seal, day: Sealed | None, previous: bytes, archive: Mapping[str, bytes]) -> Iterator[str]:
    """One seal against the day's records, the statement before it, and the archive's certificate."""
    if day is None:
        yield "the book has no records of this day"
        return
    if (row.count, row.root, row.chain_end) != (day.count, day.root, day.chain_end):
        yield f"it says {row.count} leaves, root {row.root.hex()}; the records give {day.count}, {day.root.hex()}"
    statement = seals.day_statement(date.fromisoformat(row.day), row.count, row.root, row.chain_end, previous)
    if row.statement != statement:
        yield "its statement is not what its count, root, chain and predecessor make"
    if row.signature is None:
        return
    if row.keyid is None or row.keyid not in archive:
        yield f"it is signed by {row.keyid}, which is no archive certificate of this installation"
        return
    certificate = _archive(archive[row.keyid])
    if certificate is None or not holds(certificate, certificate.alg, row.statement, row.signature):
        yield "its signature does not hold"


def _archive(der: bytes) -> Certificate | None:
    try:
        certificate = parse_certificate(der)
    except CertificateError:
        return None
    return certificate if certificate.role is Role.ARCHIVE else None


async def _lag(snapshot: Snapshot, about: About) -> Checked:
    """No record stays unsealed for more than a minute while later ones are sealed; an idle sealer is a note."""
    found = Findings("seal-lag")
    async for count, oldest, newest_sealed in records(snapshot, _LAG):
        found.rows = count
        if count and newest_sealed is not None and newest_sealed - oldest > UNSEALED_MS:
            overtaken = (newest_sealed - oldest) // 1000
            found.add(f"received at {rfc3339(oldest)}", f"unsealed, and overtaken by {overtaken} s")
        elif count and about.now_ms - oldest > UNSEALED_MS:
            found.warn(f"{count} records wait for {(about.now_ms - oldest) // 1000} s: is a sealer running?")
    return found.checked()
