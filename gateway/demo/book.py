"""Reading our own book: what became of a payment, step by step, and what we owe the biller."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from contracts.states import OrderKind, State
from gateway.core.accounts import CHART
from gateway.ops.desk import Desk
from gateway.store.port import Snapshot

T = TypeVar("T")
AVAILABLE, RESERVED, PAYABLE = (CHART[name].code for name in ("available", "reserved", "biller_payable"))

_PAYMENT = (
    "SELECT state, amount_fen, fee_fen, paid_fen, reason, accepted_at, institution_code, idempotency_key"
    " FROM payments WHERE gateway_serial = :serial"
)
_ORDERS = (
    "SELECT order_serial, kind, state, partner_serial, attempts, asks FROM orders WHERE gateway_serial = :serial"
    " ORDER BY order_serial"
)
_ATTEMPTS = (
    "SELECT o.kind, a.claimed_at, a.outcome FROM orders o JOIN attempts a ON a.order_serial = o.order_serial"
    " WHERE o.gateway_serial = :serial ORDER BY a.claimed_at, a.attempt_id"
)
_EVIDENCE = "SELECT source, event, effect FROM evidence WHERE gateway_serial = :serial ORDER BY created_at, evidence_id"
_TOLD = "SELECT created_at, payload FROM outbox WHERE key = :serial ORDER BY created_at, message_id"
_REQUEST = "SELECT topic, key, payload FROM outbox WHERE key = :account AND topic LIKE '%.request.%'"
_MOVED = (
    "SELECT x.cause, p.account, p.amount_fen FROM transactions x JOIN postings p ON p.txn_id = x.txn_id"
    " WHERE x.gateway_serial = :serial ORDER BY x.created_at, x.txn_id, p.leg"
)
_OWED = "SELECT COALESCE(SUM(amount_fen), 0) FROM postings WHERE account = :account AND owner = :biller"
_ORDERED = (
    "SELECT o.partner_serial, p.state, p.paid_fen, p.gateway_serial FROM orders o JOIN payments p"
    " ON p.gateway_serial = o.gateway_serial WHERE o.biller = :biller AND o.kind = 'PAY'"
)
_KEY = "SELECT kind, gateway_serial FROM idempotency_keys WHERE institution_code = :code AND key = :key"
_UNDER_KEY = "SELECT gateway_serial FROM payments WHERE institution_code = :code AND idempotency_key = :key"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending. outcome: the class name of the biller's word, None while it is open."""

    kind: str
    claimed_at: int
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """An order as the biller knows it."""

    kind: str
    state: str
    partner_serial: str
    attempts: int
    asks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One payment, as the book tells it. moved: account → net amount in fen."""

    gateway_serial: str
    state: str
    states: tuple[str, ...]
    evidence: str | None
    amount_fen: int
    fee_fen: int
    paid_fen: int | None
    reason: str | None
    orders: Sequence[Sent]
    attempts: Sequence[Attempt]
    pieces: Sequence[tuple[str, str, str]] = field(repr=False)
    moved: Mapping[str, int]

    def order(self, kind: OrderKind) -> Sent:
        """Its order of a kind. LookupError where it has none."""
        for order in self.orders:
            if order.kind == kind:
                return order
        raise LookupError(f"{self.gateway_serial} has no {kind} order")

    def outcomes(self, kind: OrderKind) -> tuple[str | None, ...]:
        """What each attempt of a kind came to."""
        return tuple(attempt.outcome for attempt in self.attempts if attempt.kind == kind)


@dataclass(frozen=True, slots=True)
class Owed:
    """Our side of one order: what we hold as paid under the number that the biller knows."""

    gateway_serial: str
    state: str
    paid_fen: int


class Book:
    """Reads through one open desk; each question sees one moment."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def request(self, account: str) -> tuple[str, str, bytes]:
        """Topic, key and payload of the one request message of a biller account."""

        async def look(snapshot: Snapshot) -> tuple[str, str, bytes]:
            ((topic, key, payload),) = await _all(snapshot, _REQUEST, {"account": account})
            return topic, key, bytes(payload)

        return await self._desk.snapshot(look)

    async def trace(self, gateway_serial: str) -> Trace:
        """Everything about one payment. LookupError where the book has none."""
        given = {"serial": gateway_serial}

        async def look(snapshot: Snapshot) -> Trace:
            rows = await _all(snapshot, _PAYMENT, given)
            if not rows:
                raise LookupError(f"the book has no payment {gateway_serial}")
            state, amount, fee, paid, reason, accepted_at, _, _ = rows[0]
            attempts = [Attempt(*row) for row in await _all(snapshot, _ATTEMPTS, given)]
            pieces = [(row[0], row[1], row[2]) for row in await _all(snapshot, _EVIDENCE, given)]
            moves = await _all(snapshot, _MOVED, given)
            told = await _all(snapshot, _TOLD, given)
            return Trace(
                gateway_serial=gateway_serial,
                state=state,
                states=states_of(accepted_at, attempts, told),
                evidence=evidence_of(state, pieces, [row[0] for row in moves]),
                amount_fen=amount,
                fee_fen=fee,
                paid_fen=paid,
                reason=reason,
                orders=[Sent(*row[1:]) for row in await _all(snapshot, _ORDERS, given)],
                attempts=attempts,
                pieces=pieces,
                moved=_sums(moves),
            )

        return await self._desk.snapshot(look)

    async def owed_fen(self, biller: str) -> int:
        """What the ledger says we owe the biller."""
        rows = await self._rows(_OWED, {"account": PAYABLE, "biller": biller})
        return int(rows[0][0])

    async def ordered(self, biller: str) -> dict[str, Owed]:
        """Every payment order by the number the biller knows it by."""
        rows = await self._rows(_ORDERED, {"biller": biller})
        paid = {State.SUCCESS, State.CANCELLING}
        return {row[0]: Owed(row[3], row[1], (row[2] or 0) if row[1] in paid else 0) for row in rows}

    async def key(self, institution_code: str, key: str) -> tuple[str, str | None] | None:
        """Kind and payment of an idempotency key, None where it is free."""
        rows = await self._rows(_KEY, {"code": institution_code, "key": key})
        return (rows[0][0], rows[0][1]) if rows else None

    async def under_key(self, institution_code: str, key: str) -> list[str]:
        """Payments that were made under a key: one at most, or the book is wrong."""
        return [row[0] for row in await self._rows(_UNDER_KEY, {"code": institution_code, "key": key})]

    async def _rows(self, sql: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async def look(snapshot: Snapshot) -> list[tuple[Any, ...]]:
            return await _all(snapshot, sql, given)

        return await self._desk.snapshot(look)


async def _all(snapshot: Snapshot, sql: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [row async for part in snapshot.rows(sql, given) for row in part]


def _sums(moves: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, account, amount_fen in moves:
        found[account] = found.get(account, 0) + amount_fen
    return found


def states_of(accepted_at: int, attempts: Sequence[Attempt], told: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    """Every state a payment went through, short ones too: reserved at acceptance, sent at each claim of its PAY order,
    then as its result messages tell. At one millisecond a claim comes first: its answer is a later commit."""
    moments = [(accepted_at, 0, State.RESERVED.value)]
    moments += [(attempt.claimed_at, 1, State.SENT.value) for attempt in attempts if attempt.kind == OrderKind.PAY]
    for created_at, payload in told:
        message = json.loads(payload)
        if "state" in message:
            moments.append((created_at, 2, message["state"]))
    return tuple(state for _, _, state in sorted(moments, key=lambda moment: moment[:2]))


def evidence_of(state: str, pieces: Sequence[tuple[str, str, str]], causes: Sequence[str]) -> str | None:
    """Where the proof of the state came from: the source of the evidence that led to it, or the clock or command that
    ended what was never sent; None while the payment is open."""
    if state not in {State.SUCCESS, State.FAILED, State.REVERSED, State.CANCELLED}:
        return None
    for source, _, effect in reversed(pieces):
        was, _, became = effect.rpartition("->")
        if became == state and was != state:
            return source
    return causes[-1] if causes else None
