"""Payments, the orders they need, every attempt, and what tells the world."""

from typing import ClassVar

from gateway.core.rows.base import Row


class Key(Row, frozen=True, kw_only=True):
    """An idempotency key: PAYMENT (gateway_serial), REFUSED (problem, JSON), TOMBSTONE (M3)."""

    TABLE: ClassVar[str] = "idempotency_keys"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code", "key")
    MUTABLE: ClassVar[tuple[str, ...]] = ("kind", "gateway_serial", "problem")
    institution_code: str
    key: str
    kind: str
    request_hash: bytes | None
    gateway_serial: str | None
    problem: bytes | None
    arrival_id: str
    created_at: int


class Nonce(Row, frozen=True, kw_only=True):
    """A nonce seen: bucket = created // 3600."""

    TABLE: ClassVar[str] = "nonces"
    KEY: ClassVar[tuple[str, ...]] = ("bucket", "keyid", "nonce")
    bucket: int
    keyid: str
    nonce: str
    arrival_id: str
    created: int


class Payment(Row, frozen=True, kw_only=True):
    """A payment (kind PAY), top-up (DEBIT) or refund (REFUND). biller_date is the biller's own (M10).

    confirmed_repeat: outside the index that allows one open payment per account and amount (M7): confirmed by the
    operator, or open again after it had ended. confirmed_beside: the serials, with commas, of the open payments that
    the operator confirmed it beside: all there were. ruling: the evidence by which two people gave it its state; None:
    nobody had to.
    """

    TABLE: ClassVar[str] = "payments"
    KEY: ClassVar[tuple[str, ...]] = ("gateway_serial",)
    MUTABLE: ClassVar[tuple[str, ...]] = (
        "state",
        "version",
        "paid_fen",
        "biller_serial",
        "biller_date",
        "reason",
        "resp_code",
        "in_doubt_since",
        "final_at",
        "write_data",
        "purchase_count",
        "confirmed_repeat",
        "ruling",
    )
    GUARD: ClassVar[tuple[str, ...]] = ("state", "version")
    gateway_serial: str
    kind: str
    state: str
    version: int
    institution_code: str
    terminal_id: str
    operator_id: str
    terminal_trace: str
    idempotency_key: str
    service: str
    biller: str
    biller_account: str
    amount_fen: int
    fee_fen: int
    paid_fen: int | None = None
    account_date: str
    settle_date: str
    biller_date: str | None = None
    accepted_at: int
    send_before: int
    final_at: int | None = None
    biller_serial: str | None = None
    reason: str | None = None
    resp_code: str | None = None
    in_doubt_since: int | None = None
    tariff_version: str
    commission_version: str
    confirmed_repeat: bool = False
    confirmed_beside: str | None = None
    query_token: str | None = None
    params: str = "{}"
    cash_received_fen: int | None = None
    cancels: str | None = None
    write_data: str | None = None
    purchase_count: int | None = None
    ruling: str | None = None
    trace_id: str


class Order(Row, frozen=True, kw_only=True):
    """A money-moving request to a biller. in_flight: a call is running, or may be, until call_deadline.

    from_state: of a CANCEL, the payment's state before. send_by: of the last attempt (M6). rung and asks: the
    resolver's place on the evidence ladder. hold: READY but waiting for a second person. ruling: the evidence by which
    two people ended it, for ever: what the biller says against it moves nothing (gateway.core.ruled).
    """

    TABLE: ClassVar[str] = "orders"
    KEY: ClassVar[tuple[str, ...]] = ("order_serial",)
    MUTABLE: ClassVar[tuple[str, ...]] = (
        "state",
        "version",
        "in_flight",
        "attempts",
        "send_by",
        "call_deadline",
        "next_try_at",
        "ask_at",
        "result_due_at",
        "rung",
        "asks",
        "hold",
        "biller_serial",
        "reason",
        "resp_code",
        "voided_by",
        "ended_at",
        "ruling",
    )
    GUARD: ClassVar[tuple[str, ...]] = ("state", "version")
    order_serial: str
    gateway_serial: str
    kind: str
    state: str
    version: int = 1
    biller: str
    biller_account: str
    partner_serial: str
    original_serial: str | None = None
    from_state: str | None = None
    in_flight: bool = False
    attempts: int = 0
    created_at: int
    send_before: int
    send_by: int | None = None
    call_deadline: int | None = None
    next_try_at: int | None = None
    ask_at: int | None = None
    result_due_at: int | None = None
    rung: int = 0
    asks: int = 0
    hold: bool = False
    biller_serial: str | None = None
    reason: str | None = None
    resp_code: str | None = None
    voided_by: str | None = None
    note: str | None = None
    ended_at: int | None = None
    ruling: str | None = None


class Attempt(Row, frozen=True, kw_only=True):
    """The n-th sending of an order, committed before the first byte."""

    TABLE: ClassVar[str] = "attempts"
    KEY: ClassVar[tuple[str, ...]] = ("attempt_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("ended_at", "outcome", "resp_code", "cause")
    attempt_id: str
    order_serial: str
    attempt: int
    worker: str
    claimed_at: int
    send_by: int
    call_deadline: int
    ended_at: int | None = None
    outcome: str | None = None
    resp_code: str | None = None
    cause: str | None = None


class QueryToken(Row, frozen=True, kw_only=True):
    """A bill query and its answer. state: ASKED, ANSWERED, REFUSED (problem).

    It buys once: payments.query_token is unique.
    """

    TABLE: ClassVar[str] = "query_tokens"
    KEY: ClassVar[tuple[str, ...]] = ("query_token",)
    MUTABLE: ClassVar[tuple[str, ...]] = (
        "state",
        "answer",
        "echo",
        "problem",
        "min_fen",
        "max_fen",
        "total_fen",
        "expires_at",
    )
    query_token: str
    state: str
    institution_code: str
    service: str
    biller: str
    biller_account: str
    params: str
    asked_at: int
    expires_at: int
    total_fen: int | None = None
    min_fen: int | None = None
    max_fen: int | None = None
    answer: bytes | None = None
    echo: str | None = None
    problem: bytes | None = None


class OutboxRow(Row, frozen=True, kw_only=True):
    """A bus message that must leave; written in the commit of what it tells."""

    TABLE: ClassVar[str] = "outbox"
    KEY: ClassVar[tuple[str, ...]] = ("message_id",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("published_at",)
    message_id: str
    topic: str
    key: str
    payload: bytes
    created_at: int
    published_at: int | None = None


class PartnerCounter(Row, frozen=True, kw_only=True):
    """The next number of a partner's day, handed out in blocks."""

    TABLE: ClassVar[str] = "partner_counters"
    KEY: ClassVar[tuple[str, ...]] = ("biller", "day")
    MUTABLE: ClassVar[tuple[str, ...]] = ("next_number",)
    biller: str
    day: str
    next_number: int
