"""The terminal API's bodies (api s1), the one source of validation and of `openapi.json`.

Amounts are integer fen, times RFC 3339 UTC text, dates `YYYY-MM-DD`. Unknown and doubled members are refused
(contracts.strict_json). Money in is bounded: 1 ≤ amount_fen ≤ 10**10. Patterns end in `$(?!\\n)`: Python's `$` alone
also matches before a last line feed, and `\\Z` is unknown to the JavaScript expressions JSON Schema is written in.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from contracts.serials import SERIAL_PATTERN

Amount = Annotated[int, Meta(ge=1, le=10**10, description="integer fen")]
Serial = Annotated[str, Meta(pattern=SERIAL_PATTERN, min_length=24, max_length=24)]
Service = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(\.[a-z][a-z0-9-]*)+$(?!\n)", max_length=40)]
Account = Annotated[str, Meta(pattern=r"^[A-Za-z0-9@._-]{1,32}$(?!\n)", description="as text, leading zeros kept")]
IdempotencyKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}$(?!\n)")]
Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}$(?!\n)")]
Trace = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$(?!\n)", description="the terminal's own serial")]
ParamName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
ParamValue = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}$(?!\n)")]
Params = Annotated[dict[ParamName, ParamValue], Meta(max_length=8)]
Text = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}$(?!\n)")]
Cursor = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
DateText = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all request bodies."""


class BillQueryRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/bill-queries`."""

    service: Service
    biller_account: Account
    params: Params = {}


class PaymentRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/payments`. confirm_repeat: the repeat_token of a `repeat-in-doubt` refusal (M7)."""

    service: Service
    biller_account: Account
    amount_fen: Amount
    terminal_trace: Trace
    params: Params = {}
    query_token: Token | None = None
    confirm_repeat: Token | None = None
    cash_received_fen: Amount | None = None


class InquiryRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/payment-inquiries`: what became of my request?"""

    idempotency_key: IdempotencyKey


class CancellationRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/payments/{gateway_serial}/cancellations` (撤销)."""

    reason: Text
    authorization: Token | None = None


class CardWriteRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/payments/{gateway_serial}/card-writes`."""

    result: Annotated[str, Meta(pattern=r"^(ok|failed)$(?!\n)")]
    card_data: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{0,2048}$(?!\n)")] | None = None


class RefundRequest(Request, frozen=True, kw_only=True):
    """`POST /v1/payments/{gateway_serial}/refunds` (退费): a payment of its own that waits for approval."""

    amount_fen: Amount
    reason: Text


class InDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """Set while only evidence can answer (UNKNOWN, REVERSING, CANCELLING)."""

    since: str
    rung: int
    next_step_at: str | None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a card meter needs to be written with."""

    write_data: str | None
    purchase_count: int | None


class Payment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A payment, top-up or refund as the terminal sees it. paid_fen is null until SUCCESS."""

    gateway_serial: Serial
    state: str
    service: str
    biller: str
    biller_account: str
    amount_fen: int
    paid_fen: int | None
    fee_fen: int
    account_date: str
    settle_date: str
    accepted_at: str
    send_before: str
    final_at: str | None
    biller_serial: str | None
    reason: str | None
    shop_text: str
    terminal_trace: str
    idempotency_key: str
    in_doubt: InDoubt | None
    card: Card | None
    params: dict[str, str]
    replaces: str | None = None
    cancels: str | None = None


class PaymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/payments`, newest first."""

    items: list[Payment]
    next_cursor: str | None


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a bill."""

    period: str
    amount_fen: int
    penalty_fen: int


class BillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answered bill query. Name and address are masked."""

    query_token: str
    expires_at: str
    customer_name: str
    address: str
    bills: list[BillLine]
    total_fen: int
    min_fen: int
    max_fen: int


class BillPending(msgspec.Struct, frozen=True, kw_only=True):
    """202: the biller is slow; ask `GET /v1/bill-queries/{token}` again."""

    query_token: str
    expires_at: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to an inquiry: the payment, or the problem the key was refused with, or a tombstone."""

    found: bool
    payment: Payment | msgspec.UnsetType = msgspec.UNSET
    problem: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tombstone: bool | msgspec.UnsetType = msgspec.UNSET


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/account`. certificate_days_left: whole days, where the asking certificate ends soon (CERT-03)."""

    available_fen: int
    reserved_fen: int
    posted_fen: int
    overdraft_limit_fen: int
    low_balance: bool
    account_date: str
    certificate_days_left: int | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of the prepaid account: account 2001 available, 2002 reserved; balance after it."""

    entry_id: str
    account: str
    amount_fen: int
    balance_after_fen: int
    recipe: str
    gateway_serial: str | None
    posting_date: str
    account_date: str | None
    posted_at: str


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/account/entries`, newest first."""

    items: list[Entry]
    next_cursor: str | None


class ServiceParam(msgspec.Struct, frozen=True, kw_only=True):
    """What a service needs besides the account; the shop's choice, never guessed."""

    name: str
    title: str
    choices: dict[str, str]
    required: bool


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A service this station may sell now."""

    service: str
    biller: str
    title: str
    bill_model: str
    params: list[ServiceParam]
    min_fen: int
    max_fen: int
    fee_fen: int
    open: bool
    closed_reason: str | None


class ServiceList(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/services`."""

    items: list[ServiceEntry]


class TimeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/time`, unsigned."""

    now: str
    account_date: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem document. `type` is `urn:bianmin:problem:<slug>`."""

    type: str
    title: str
    status: int
    detail: str
    shop_text: str
    trace_id: str
    field: str | None = None
    gateway_serial: str | None = None
    repeat_token: str | None = None
