"""What an evidence folder says of dead letters about a payment, and of their replays: what, under whose deeds."""

from typing import Any, TypeVar

import msgspec

from gateway.core.rows import Approval, DeadLetter, ReplayPlan, ReplayStep, Row
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

R = TypeVar("R", bound=Row)
_LETTERS = "SELECT d.letter_id FROM dead_letters d WHERE d.gateway_serial = :serial"
_PLANS = f"SELECT s.plan_sha256 FROM replay_steps s WHERE s.letter_id IN ({_LETTERS})"  # noqa: S608 - texts of our own
_APPROVED = f"SELECT p.approval FROM replay_plans p WHERE p.plan_sha256 IN ({_PLANS})"  # noqa: S608
REPLAY_RECORDS = (
    "t.record_id IN (SELECT d.record_id FROM dead_letters d WHERE d.gateway_serial = :serial"  # noqa: S608
    f" UNION SELECT s.run_record FROM replay_steps s WHERE s.letter_id IN ({_LETTERS})"
    f" UNION SELECT a.prepared_record FROM approvals a WHERE a.plan_sha256 IN ({_APPROVED})"
    f" UNION SELECT a.decided_record FROM approvals a WHERE a.plan_sha256 IN ({_APPROVED}))"
)
"""Condition on records t: the deeds that moved a letter about the payment :serial, approved its replay, or ran it."""


async def replays_of(snapshot: Snapshot, serial: str) -> dict[str, Any]:
    """Letters about a payment, the steps that replayed them, the plans and who approved these, as JSON values."""
    return {
        "letters": await _rows(snapshot, DeadLetter, "t.gateway_serial = :serial", serial),
        "steps": await _rows(snapshot, ReplayStep, f"t.letter_id IN ({_LETTERS})", serial),
        "plans": await _rows(snapshot, ReplayPlan, f"t.plan_sha256 IN ({_PLANS})", serial),
        "approvals": await _rows(snapshot, Approval, f"t.plan_sha256 IN ({_APPROVED})", serial),
    }


async def _rows(snapshot: Snapshot, row: type[R], where: str, serial: str) -> list[dict[str, Any]]:
    shape = shape_of(row)
    sql = f"SELECT {', '.join(f't.{name}' for name in shape.names)} FROM {row.TABLE} t"  # noqa: S608
    found: list[dict[str, Any]] = []
    async for part in snapshot.rows(
        f"{sql} WHERE {where} ORDER BY {', '.join(f't.{name}' for name in shape.key)}", {"serial": serial}
    ):
        found += [_plain(shape.build(values)) for values in part]
    return found


def _plain(row: Row) -> dict[str, Any]:
    """A row as JSON values; bytes as text where they are one, else as hex."""
    return {name: _text(value) for name, value in msgspec.structs.asdict(row).items()}


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()
