"""The outbox: what must have been told has its message (design s3.2)."""

import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec

from contracts.bus import OrderMessage, ResultMessage
from contracts.states import State
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import records
from gateway.store.port import Snapshot

UNPUBLISHED_MS = 60_000
BUCKET = 500_000
_SILENT = frozenset({State.RESERVED, State.SENT})
_RESULTS = (
    "SELECT p.gateway_serial, p.state, p.version, o.payload FROM payments p LEFT JOIN outbox o"
    " ON o.key = p.gateway_serial AND o.topic LIKE '%.result' ORDER BY p.gateway_serial, o.message_id"
)
_NEEDED = (
    "SELECT o.order_serial FROM orders o WHERE o.kind <> 'REFUND' AND NOT (o.kind = 'WRITE_CONFIRM' AND o.attempts = 0)"
    # What two people ruled to be cancelled was never asked for (gateway.core.rulings).
    " AND NOT (o.kind = 'CANCEL' AND o.attempts = 0 AND o.state = 'DONE' AND o.ruling IS NOT NULL)"
)
_REQUESTS = "SELECT o.payload FROM outbox o WHERE o.topic LIKE '%.request.%'"
_WAITING = "SELECT count(*), MIN(o.created_at) FROM outbox o WHERE o.published_at IS NULL"


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """outbox: an order's request, a state's result. A message that waits long is a note: the relay may be down."""
    found = Findings("outbox")
    await _results(snapshot, found)
    await _requests(snapshot, found)
    async for count, oldest in records(snapshot, _WAITING):
        if count and about.now_ms - oldest > UNPUBLISHED_MS:
            age_s = (about.now_ms - oldest) // 1000
            found.warn(f"{count} messages are not published, the oldest for {age_s} s: is a relay running?")
    return [found.checked()]


async def _results(snapshot: Snapshot, found: Findings) -> None:
    async for serial, state, version, payloads in _by_payment(snapshot):
        found.take(serial, judge_results(state, version, payloads))


async def _by_payment(snapshot: Snapshot) -> AsyncIterator[tuple[str, str, int, list[bytes]]]:
    current: tuple[str, str, int, list[bytes]] | None = None
    async for serial, state, version, payload in records(snapshot, _RESULTS):
        if current is None or current[0] != serial:
            if current is not None:
                yield current
            current = (serial, state, version, [])
        if payload is not None:
            current[3].append(payload)
    if current is not None:
        yield current


def judge_results(state: str, version: int, payloads: Sequence[bytes]) -> Iterator[str]:
    """The newest thing told about a payment is its state; a claim alone (RESERVED, SENT) is not told."""
    told: list[ResultMessage] = []
    for payload in payloads:
        try:
            told.append(msgspec.json.decode(payload, type=ResultMessage))
        except msgspec.DecodeError as wrong:
            yield f"a result message cannot be read: {wrong}"
            return
    last = max(told, key=lambda message: message.version, default=None)
    if last is not None and last.version > version:
        yield f"version {last.version} was told, the book has {version}"
    silent = state in _SILENT
    if not silent and (last is None or last.state != state):
        yield f"{state} was never told, the last message says {last.state if last else 'nothing'}"
    if silent and last is not None and last.state != State.RESERVED:
        yield f"{state} now, and the last message says {last.state}"


async def _requests(snapshot: Snapshot, found: Findings) -> None:
    """Orders that had to wake a worker have a request; compared in buckets, so that memory stays bounded."""
    orders = await _one(snapshot, "SELECT count(*) FROM orders")
    buckets = orders // BUCKET + 1
    for bucket in range(buckets):
        missing = {
            serial async for (serial,) in records(snapshot, _NEEDED) if zlib.crc32(serial.encode()) % buckets == bucket
        }
        async for (payload,) in records(snapshot, _REQUESTS):
            serial = _order_of(payload)
            if serial is not None:
                missing.discard(serial)
        for serial in sorted(missing):
            found.add(serial, "no message ever asked for this order")


def _order_of(payload: bytes) -> str | None:
    """The order a request is about; None for a bill query, and for what cannot be read."""
    try:
        return msgspec.json.decode(payload, type=OrderMessage).order_serial
    except msgspec.DecodeError:
        return None


async def _one(snapshot: Snapshot, sql: str) -> Any:
    async for (value,) in records(snapshot, sql):
        return value
    return None
