"""What is asked of the book, one struct per kind of ask, and how it answers.

Items and replies cross the socket to the writer process as msgpack, told apart by their tag. `entropy`: 64 random bits
drawn by the shell, of which all serials are minted, so that a decision done again is the same. Times: whole epoch ms.
"""

import msgspec

from gateway.core.held import Held
from gateway.core.rows import Order, Payment, QueryToken


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request whose signature verified: who signed, when, and the bytes that prove it (M11)."""

    arrival_id: str
    entropy: int
    keyid: str
    nonce: str
    created: int  # Unix seconds, as signed
    expires: int
    base: bytes
    signature: bytes
    body: bytes
    trace_id: str


class Item(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Base of all asks."""


class Signed(Item, frozen=True, kw_only=True):
    """Base of all asks that a terminal signed and that may not be repeated."""

    arrival: Arrival


class Keyed(Signed, frozen=True, kw_only=True):
    """Base of all asks under an idempotency key (M3). request_hash: SHA-256 over method, path, decoded body."""

    key: str
    request_hash: bytes


class Accept(Keyed, frozen=True, kw_only=True):
    """Pay. `params` is canonical JSON; closed_for_s > 0: this process knows the biller's breaker to be open."""

    service: str
    biller_account: str
    amount_fen: int
    terminal_trace: str
    params: str = "{}"
    query_token: str | None = None
    confirm_repeat: str | None = None
    cash_received_fen: int | None = None
    closed_for_s: int = 0


class Cancel(Keyed, frozen=True, kw_only=True):
    """Take back a payment (撤销), or give up one that was not sent."""

    gateway_serial: str
    reason: str
    authorization: str | None = None


class Refund(Keyed, frozen=True, kw_only=True):
    """Give money back by a payment of its own that waits for approval (退费)."""

    gateway_serial: str
    amount_fen: int
    reason: str


class ReportWrite(Keyed, frozen=True, kw_only=True):
    """The terminal's word on a card write."""

    gateway_serial: str
    written: bool
    card_data: str | None = None


class Inquire(Signed, frozen=True, kw_only=True):
    """What became of my key? Leaves a tombstone where it is free (M6)."""

    key: str


class AskBill(Signed, frozen=True, kw_only=True):
    """A bill query begins: its token is kept before anybody is asked."""

    service: str
    biller_account: str
    params: str = "{}"
    closed_for_s: int = 0


class KeepRefused(Signed, frozen=True, kw_only=True):
    """A request whose signature holds and whose content the shell refused (400, 413, 415): nonce and record stay."""


class AnswerBill(Item, frozen=True, kw_only=True):
    """The biller's answer to a bill query; `problem` (slug) where it said no. Amounts in fen."""

    query_token: str
    entropy: int
    answer: bytes | None = None
    echo: str = "{}"
    total_fen: int = 0
    min_fen: int = 0
    max_fen: int = 0
    problem: str | None = None
    detail: str = ""
    shop_text: str | None = None


class Claim(Item, frozen=True, kw_only=True):
    """A worker is ready to call the biller for this order now. repeat: send an undo in doubt again.
    share: of the biller, under which `worker` has an allowance now (gateway.core.allowances); None: it is alone."""

    gateway_serial: str
    order_serial: str
    worker: str
    entropy: int
    repeat: bool = False
    share: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A biller's word, flattened: `kind` is the class name of the outcome (contracts.outcomes)."""

    kind: str
    resp_code: str = ""
    cause: str = ""
    reason: str = ""
    biller_serial: str = ""
    paid_fen: int = 0
    biller_date: str | None = None
    ask_after_s: int = 0
    retry_after_s: int = 0
    alarm: bool = False
    raw: bytes = b""


class Judge(Item, frozen=True, kw_only=True):
    """Evidence about one order: from a call (attempt_id), a query, a notice, a file, or recovery ("clock").

    The order is named by our serials, or by (biller, partner_serial); a notice also says account and amount.
    asked_at: Question.asked_at, None: now. An absence is as old as its question (M6); that of a call, as its claim.
    sent: what left us for it: the requests of the call or question, the answer to the notice.
    """

    source: str  # reply, query, notice, file, clock
    entropy: int
    answer: Answer
    gateway_serial: str | None = None
    order_serial: str | None = None
    biller: str | None = None
    partner_serial: str | None = None
    attempt_id: str | None = None
    biller_account: str | None = None
    amount_fen: int | None = None
    asked_at: int | None = None
    sent: tuple[bytes, ...] = ()
    trace_id: str = ""


class Sweep(Item, frozen=True, kw_only=True):
    """End what is proven unsent and too old, mark overdue calls LOST, list what waits (after where a list ended)."""

    limit: int = 200
    after_at: int = 0
    after_serial: str = ""
    entropy: int


class TakeQuestions(Item, frozen=True, kw_only=True):
    """Lease due questions: each order's next one moves on by lease_ms at least, so that nobody else asks meanwhile.

    room: per biller how many can be asked at once; what finds no room stays due. None: no limit.
    under: the lease it is asked under; None: by whoever needs none.
    """

    limit: int = 500
    lease_ms: int = 10_000
    room: dict[str, int] | None = None
    entropy: int
    under: Held | None = None


class TakeOutbox(Item, frozen=True, kw_only=True):
    """List messages that have not been published for older_than_ms."""

    older_than_ms: int = 1000
    limit: int = 500
    under: Held | None = None


class MarkPublished(Item, frozen=True, kw_only=True):
    """These messages have left."""

    message_ids: list[str]


class Seal(Item, frozen=True, kw_only=True):
    """Chain unsealed leaves under the sealer's lease; close earlier days (M11)."""

    under: Held
    limit: int = 2000


class Deposit(Item, frozen=True, kw_only=True):
    """Money paid in at a counter, once per voucher number (ACC-02, ACC-03)."""

    institution_code: str
    amount_fen: int
    voucher_number: str
    outlet: str
    taken_by: str
    entropy: int


class AddStation(Item, frozen=True, kw_only=True):
    """Register a station whole (JOIN-16). by: who, as the machine knows him; the reason in its certificate's steps."""

    institution_code: str
    name: str
    terminal_id: str
    operator_id: str
    operator_name: str
    certificate_der: bytes
    keyid: str
    public_key_sha256: str
    not_before: int
    not_after: int
    services: list[str]
    trained_until: int
    overdraft_limit_fen: int = 0
    low_balance_fen: int = 0
    serial: str = ""
    issuer_keyid: str = ""
    key_serial: str = ""
    by: str = ""


class RegisterCertificate(Item, frozen=True, kw_only=True):
    """Make one of the gateway's own certificates known (reply, archive)."""

    keyid: str
    der: bytes
    role: str
    public_key_sha256: str
    not_before: int
    not_after: int
    serial: str = ""
    issuer_keyid: str = ""


class SetPrices(Item, frozen=True, kw_only=True):
    """Add dated price rules of one service: a tariff and a commission plan."""

    version: str
    service: str
    effective_from: str
    fee_fen: int
    min_fen: int
    max_fen: int
    rate_ppm: int
    send_before_s: int = 120
    reverse_after_s: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Base of all replies."""


class Refusal(Reply, frozen=True, kw_only=True):
    """No, and why: a slug of contracts.problems. Nothing was done but what design s10 keeps."""

    slug: str
    detail: str
    field: str | None = None
    shop_text: str | None = None
    gateway_serial: str | None = None
    repeat_token: str | None = None
    retry_after_s: int | None = None
    replayed: bool = False


class Taken(Reply, frozen=True, kw_only=True):
    """A payment now. doubt: its open order only evidence can end. kept: see keys.kept_by. replayed: a known key."""

    payment: Payment
    doubt: Order | None = None
    kept: Order | None = None
    replayed: bool = False


class Inquired(Reply, frozen=True, kw_only=True):
    """What a key holds: a payment, a kept problem, or from now on a tombstone."""

    taken: Taken | None = None
    refusal: Refusal | None = None


class Asked(Reply, frozen=True, kw_only=True):
    """A bill query, as it is now."""

    query: QueryToken


class Kept(Reply, frozen=True, kw_only=True):
    """Done, nothing to say. count: how many rows it touched."""

    count: int = 0


class Granted(Reply, frozen=True, kw_only=True):
    """The claim is committed: call now. original: of an undo, the order it undoes."""

    attempt_id: str
    attempt: int
    order: Order
    payment: Payment
    original: Order | None
    bill_echo: str
    now: int
    send_by: int
    call_deadline: int


class NotNow(Reply, frozen=True, kw_only=True):
    """No claim. gone: there is nothing to call (any more); else try again at or after retry_at."""

    gone: bool
    cause: str
    retry_at: int | None = None


class Judged(Reply, frozen=True, kw_only=True):
    """What evidence did. known: whether it names an order of ours. again: an order that is READY again or new."""

    known: bool
    effect: str = ""
    payment: Payment | None = None
    again: Order | None = None


class Swept(Reply, frozen=True, kw_only=True):
    """What a sweep found: orders that wait to be called, and how many it ended or marked. now: the database's clock."""

    ready: list[Order]
    expired: int
    overdue: int
    now: int


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One due question: an order, its payment, and of an undo the order it undoes. asked_at goes into its Judge."""

    order: Order
    payment: Payment
    original: Order | None
    asked_at: int | None = None


class Questions(Reply, frozen=True, kw_only=True):
    """Due questions under our lease, and orders that policy opened (REVERSE) and that wait to be called."""

    questions: list[Question]
    opened: list[Order]
    repeats: list[Order]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A bus message as it lies in the outbox."""

    message_id: str
    topic: str
    key: str
    payload: bytes


class Outbox(Reply, frozen=True, kw_only=True):
    """Messages to publish."""

    messages: list[Message]


class Sealed(Reply, frozen=True, kw_only=True):
    """How many leaves were chained, and the statements that want a signature: (day, statement)."""

    count: int
    unsigned: list[tuple[str, bytes]]
