"""What the book holds about one payment, read from one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from certs.core import seals
from gateway.core.rows import (
    Alarm,
    Attempt,
    Break,
    EvidenceRow,
    Key,
    Order,
    Payment,
    Posting,
    Record,
    Row,
    Seal,
    Transaction,
)
from gateway.ops.evidence.replays import REPLAY_RECORDS, replays_of
from gateway.ops.evidence.rulings import RECORDS, rulings_of
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record stands in its sealed day. path: from its leaf to the day's root."""

    record: Record
    seal: Seal | None
    path: Sequence[tuple[seals.Side, bytes]] = ()

    @property
    def under_a_signed_day(self) -> bool:
        """Whether its day is closed and signed, and its leaf leads to that day's root."""
        seal, at = self.seal, self.record.position
        if seal is None or seal.signature is None or at is None:
            return False
        return seals.verify_path(self.record.leaf, self.path, seal.root, index=at - 1, count=seal.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything about one payment."""

    payment: Payment
    about: Mapping[str, Any]
    places: Sequence[Place]


async def collect(snapshot: Snapshot, serial: str) -> Bundle | None:
    """Read it all; None where there is no such payment."""
    payments = await _rows(snapshot, Payment, "t.gateway_serial = :serial", serial)
    if not payments:
        return None
    (payment,) = payments
    of_payment = "t.gateway_serial = :serial"
    of_orders = "t.order_serial IN (SELECT o.order_serial FROM orders o WHERE o.gateway_serial = :serial)"
    of_transactions = "t.txn_id IN (SELECT x.txn_id FROM transactions x WHERE x.gateway_serial = :serial)"
    of_evidence = (
        "t.gateway_serial = :serial OR t.record_id IN"  # noqa: S608 - texts of our own
        " (SELECT e.record_id FROM evidence e WHERE e.gateway_serial = :serial AND e.record_id IS NOT NULL)"
        f" OR {RECORDS} OR {REPLAY_RECORDS}"
    )
    postings = await _rows(snapshot, Posting, of_transactions, serial, "t.txn_id, t.leg")
    about = {
        "payment": plain(payment),
        "keys": _plain(await _rows(snapshot, Key, of_payment, serial, "t.created_at, t.key")),
        "orders": _plain(await _rows(snapshot, Order, of_payment, serial, "t.order_serial")),
        "attempts": _plain(await _rows(snapshot, Attempt, of_orders, serial, "t.order_serial, t.attempt")),
        "evidence": _plain(await _rows(snapshot, EvidenceRow, of_payment, serial, "t.created_at, t.evidence_id")),
        "transactions": [
            plain(row) | {"postings": [plain(leg) for leg in postings if leg.txn_id == row.txn_id]}
            for row in await _rows(snapshot, Transaction, of_payment, serial, "t.created_at, t.txn_id")
        ],
        "breaks": _plain(await _rows(snapshot, Break, of_payment, serial, "t.opened_at, t.break_id")),
        "rulings": await rulings_of(snapshot, serial),
        "replays": await replays_of(snapshot, serial),
        "alarms": _plain(await _rows(snapshot, Alarm, of_payment, serial, "t.raised_at, t.alarm_id")),
    }
    found = await _rows(snapshot, Record, of_evidence, serial, "t.received_at, t.record_id")
    places = [await _place(snapshot, record) for record in found]
    return Bundle(payment=payment, about=about, places=places)


async def _place(snapshot: Snapshot, record: Record) -> Place:
    if record.day is None or record.position is None:
        return Place(record=record, seal=None)
    closed = await _rows(snapshot, Seal, "t.day = :serial", record.day)
    if not closed:
        return Place(record=record, seal=None)
    sql = "SELECT leaf FROM records WHERE day = :day ORDER BY position"
    finder = seals.PathFinder(record.position - 1)
    async for part in snapshot.rows(sql, {"day": record.day}):
        for (leaf,) in part:
            finder.add(leaf)
    return Place(record=record, seal=closed[0], path=finder.path())


async def _rows(snapshot: Snapshot, row: type[R], where: str, serial: str, order: str = "") -> list[R]:
    shape = shape_of(row)
    columns = ", ".join(f"t.{name}" for name in shape.names)
    sql = f"SELECT {columns} FROM {row.TABLE} t WHERE {where}"  # noqa: S608 - names and texts of this file
    sql += f" ORDER BY {order}" if order else ""
    found: list[Any] = []
    async for part in snapshot.rows(sql, {"serial": serial}):
        found += map(shape.build, part)
    return found


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON values; bytes are JSON themselves (a kept problem) or become hex."""
    return {key: _value(value) for key, value in msgspec.structs.asdict(row).items()}


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [plain(row) for row in rows]


def _value(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value.hex()
