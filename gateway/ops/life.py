"""The life of one payment as a list of moments, oldest first, out of what the book holds about it."""

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from contracts.serials import mint_serial
from contracts.traces import span_id
from gateway.core.rows import OutboxRow
from gateway.ops.evidence.collect import Bundle
from gateway.store.port import Snapshot

_RANDOM_MAX = 2**32 - 1


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """at: ms since the epoch. what: one word of a closed set. span: the W3C span id of what can be seen elsewhere.

    A message is `published` when the relay noted that the bus holds it; its reader may have acted a moment before.
    """

    at: int
    what: str
    told: Mapping[str, Any]
    span: str | None = None


class _Told(msgspec.Struct, frozen=True):
    schema: str
    gateway_serial: str = ""


async def messages_of(snapshot: Snapshot, bundle: Bundle, zone: ZoneInfo) -> list[OutboxRow]:
    """The bus messages about this payment. A message is written with what it tells, and its id begins with the time."""
    about = bundle.about
    times = {bundle.payment.accepted_at}
    times |= {row["created_at"] for name in ("orders", "evidence", "transactions") for row in about[name]}
    times |= {row["ended_at"] for row in about["orders"] if row["ended_at"]}
    times |= {row["claimed_at"] for row in about["attempts"]}
    sql = (
        "SELECT message_id, topic, key, payload, created_at, published_at FROM outbox"
        " WHERE message_id >= :first AND message_id <= :last ORDER BY message_id"
    )
    found = []
    for at in sorted(times):
        bounds = {"first": mint_serial(at, zone, 0), "last": mint_serial(at, zone, _RANDOM_MAX)}
        async for part in snapshot.rows(sql, bounds):
            rows = [OutboxRow(**dict(zip(OutboxRow.__struct_fields__, row, strict=True))) for row in part]
            found += [row for row in rows if _about(row) == bundle.payment.gateway_serial]
    return found


def _about(row: OutboxRow) -> str:
    return msgspec.json.decode(row.payload, type=_Told).gateway_serial


def life_of(bundle: Bundle, messages: list[OutboxRow]) -> list[Moment]:
    """Every moment, oldest first; moments of one commit in the order in which they follow from one another."""
    return sorted(_moments(bundle, messages), key=lambda moment: moment.at)


def _moments(bundle: Bundle, messages: list[OutboxRow]) -> Iterator[Moment]:
    payment, about = bundle.payment, bundle.about
    for place in bundle.places:
        record = place.record
        yield Moment(at=record.received_at, what="record", told={"kind": record.kind, "sealed_day": record.day})
    yield Moment(
        at=payment.accepted_at,
        what="accepted",
        told=_some(about["payment"], "kind", "service", "institution_code", "terminal_id", "amount_fen", "fee_fen"),
    )
    for order in about["orders"]:
        told = _some(order, "kind", "order_serial", "partner_serial", "send_before")
        yield Moment(at=order["created_at"], what="order", told=told)
    for message in messages:
        schema = msgspec.json.decode(message.payload, type=_Told).schema
        told = {"schema": schema, "topic": message.topic, "message_id": message.message_id}
        span = span_id(message.message_id)
        yield Moment(at=message.created_at, what="message", told=told, span=span)
        if message.published_at is not None:
            yield Moment(at=message.published_at, what="published", told=told, span=span)
    for attempt in about["attempts"]:
        told = _some(attempt, "order_serial", "attempt", "worker", "send_by", "call_deadline")
        yield Moment(at=attempt["claimed_at"], what="claimed", told=told, span=span_id(attempt["attempt_id"]))
        if attempt["ended_at"] is not None:
            told = _some(attempt, "order_serial", "attempt", "outcome", "resp_code", "cause")
            yield Moment(at=attempt["ended_at"], what="answered", told=told, span=span_id(attempt["attempt_id"]))
    for evidence in about["evidence"]:
        told = _some(evidence, "source", "event", "effect", "order_serial", "resp_code", "cause", "paid_fen")
        yield Moment(at=evidence["created_at"], what="evidence", told=told)
    yield from _consequences(about)


def _consequences(about: Mapping[str, Any]) -> Iterator[Moment]:
    for transaction in about["transactions"]:
        told = _some(transaction, "recipe", "txn_id", "posting_date", "cause")
        yield Moment(at=transaction["created_at"], what="posted", told=told)
    for order in about["orders"]:
        if order["ended_at"] is not None:
            told = _some(order, "kind", "order_serial", "state", "reason")
            yield Moment(at=order["ended_at"], what="order-ended", told=told)
    for found in about["breaks"]:
        yield Moment(at=found["opened_at"], what="break", told=_some(found, "code", "break_id", "state", "detail"))
    for alarm in about["alarms"]:
        yield Moment(at=alarm["raised_at"], what="alarm", told=_some(alarm, "kind", "alarm_id", "detail"))
    if about["payment"]["final_at"] is not None:
        yield Moment(at=about["payment"]["final_at"], what="final", told=_some(about["payment"], "state", "reason"))


def _some(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}
