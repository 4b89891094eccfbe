"""The port between the payment flow and a biller's adapter (design s5, style s6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable

from contracts.clock import Clock
from contracts.manifest import Manifest
from contracts.money import Fen
from contracts.outcomes import Evidence, Outcome, Undoing
from contracts.states import OrderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PayOrder:
    """One claimed attempt to pay. Everything the adapter may put on the wire.

    partner_serial: the serial the biller knows (ours where the manifest has no `serial_digits`).
    bill: what query_bill returned as `echo`, untouched. send_by: no time-limited proof in the request may be later.
    send_deadline: on clock.boottime(); the first byte is written before it or the answer is NotSent.
    """

    service: str
    gateway_serial: str
    partner_serial: str
    institution_code: str
    biller_account: str
    amount: Fen
    params: Mapping[str, str] = field(default_factory=dict)
    bill: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime
    send_by: datetime
    send_deadline: float
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOrder:
    """One claimed attempt to reverse (冲正) or cancel (撤销): the original as it was sent, and its own serial."""

    kind: OrderKind
    partner_serial: str
    original: PayOrder
    original_biller_serial: str | None
    reason: str = ""
    send_by: datetime
    send_deadline: float
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultQuery:
    """A question about one order (of any kind): money never moves by it."""

    kind: OrderKind
    service: str
    partner_serial: str
    original_partner_serial: str | None  # of the payment a REVERSE or CANCEL belongs to
    biller_account: str
    biller_serial: str | None
    amount: Fen
    params: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BillQuery:
    """What does this account owe?"""

    service: str
    institution_code: str
    biller_account: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillPeriod:
    """One line of a bill."""

    period: str
    amount: Fen
    penalty: Fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An answered bill query. Names in full here; masked before anybody sees them. `echo` goes back with pay."""

    customer_name: str
    address: str
    bills: tuple[BillPeriod, ...]
    total: Fen
    min: Fen
    max: Fen
    echo: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBill:
    """The biller answered that nothing can be paid. `problem` is a slug of contracts.problems."""

    resp_code: str
    problem: str
    shop_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BillUnavailable:
    """No usable answer: unreachable, busy, unreadable. Says nothing about the account."""

    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An authentic notice about one order, matched by (biller, partner_serial). Its facts are checked by the core."""

    partner_serial: str
    biller_account: str
    amount: Fen
    evidence: Evidence
    ack: bytes
    ack_type: str = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNotice:
    """Not authentic or not readable: decides nothing, answered with `status` and no acknowledgement."""

    cause: str
    status: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconFile:
    """A partner's day file, byte for byte, with the hash the partner vouched for."""

    name: str
    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReconFile:
    """Not there (yet). retry_after_s None: it will not come."""

    cause: str
    retry_after_s: int | None


class Biller(Protocol):
    """What every adapter does. `pay` never raises for what the biller did; cancellation may leave it in doubt."""

    @property
    def manifest(self) -> Manifest: ...
    async def open(self) -> None: ...
    async def pay(self, order: PayOrder) -> Outcome: ...
    async def close(self) -> None: ...


@runtime_checkable
class QueriesBills(Protocol):
    """Can.QUERY_BILL."""

    async def query_bill(self, query: BillQuery) -> Bill | NoBill | BillUnavailable: ...


@runtime_checkable
class QueriesResults(Protocol):
    """Can.QUERY_RESULT. Answers about a PAY; about a REVERSE or CANCEL, Undone means it happened."""

    async def query_result(self, query: ResultQuery) -> Evidence: ...


@runtime_checkable
class Reverses(Protocol):
    """Can.REVERSE."""

    async def reverse(self, order: UndoOrder) -> Undoing: ...


@runtime_checkable
class Cancels(Protocol):
    """Can.CANCEL."""

    async def cancel(self, order: UndoOrder) -> Undoing: ...


@runtime_checkable
class TakesNotices(Protocol):
    """Can.NOTICE. Synchronous and pure but for the clock: authenticates and reads one notice."""

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | BadNotice: ...


@runtime_checkable
class PinsServer(Protocol):
    """Its server can be held to certificates that the bureau has pinned."""

    def pin_server(self, certificates: Sequence[bytes]) -> None:
        """From the next connection on its server is one of these (DER), whatever CA or name; none: nobody is.

        Instead of what its configuration says of servers. Also before open(). Raises ValueError for what is none.
        """
        ...


@runtime_checkable
class FetchesRecon(Protocol):
    """Can.FETCH_RECON."""

    async def fetch_recon(self, day: date) -> ReconFile | NoReconFile: ...


def no_text(service: str, resp_code: str) -> str | None:
    """Of an adapter that has no words of its own: always None."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What the entry point `bianmin.adapters:<name>` holds.

    config_type: a frozen msgspec struct, read from `billers.<name>` of the configuration.
    build(config, clock): opens nothing. simulator: module with `main(argv) -> None`, run by `bianmin sim <name>`.
    shop_text: (service, resp_code) -> shop text in Simplified Chinese, or None where only the reason's text applies.
    undo_text: the same for the code a reversal or cancel was refused with.
    """

    manifest: Manifest
    config_type: type[Any]
    build: Callable[[Any, Clock], Biller]
    simulator: str
    shop_text: Callable[[str, str], str | None]
    undo_text: Callable[[str, str], str | None] = no_text
