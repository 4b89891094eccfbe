"""What a partner's simulator must tell the kit about one service: who to pay, and how its operations are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.manifest import BillModel, Can, FlowFacts, Manifest
from contracts.money import Fen


class Op(StrEnum):
    """Operations of a simulator that faults are set on, by one name for all partners."""

    BILL = "bill"
    PAY = "pay"
    QUERY = "query"
    REVERSE = "reverse"
    CANCEL = "cancel"
    NOTICE = "notice"


class Need(StrEnum):
    """Declared facts of a service that a scenario may need; what is not declared is not played."""

    AT_ONCE = "decides in its reply"
    LATER = "accepts and decides later"
    FETCH = "pays only after a bill query"
    QUERY = "answers questions about results"
    NOTICE = "tells results by notice"
    REVERSE = "reverses"
    CANCEL = "cancels"
    NO_CANCEL = "cannot cancel"
    PARTIAL = "may book a part"
    FORGETS = "forgets payments after a declared age"
    BELATED = "takes an order that arrives late"


class Who(StrEnum):
    """The customer of a payment."""

    USUAL = "usual"
    OTHER = "other"
    BY_HAND = "by hand"
    FIXED = "fixed"


class Result(StrEnum):
    """How an open record is ended by hand."""

    PAID = "paid"
    FAILED = "failed"


class Code(StrEnum):
    """Partner codes of a pay reply, by what the partner's document says of them."""

    DECLINED = "declined"
    NOT_SENT = "not sent"
    UNLISTED = "unlisted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One service on its simulator.

    accounts: a biller account per customer: USUAL and OTHER pay, by themselves and soon; BY_HAND (needed where the
    biller decides later) stays open until decided by hand; FIXED (needed where it undoes) pays, and a reversal or
    cancel of it is refused with proof that it stays booked. amount: what each of them can pay. operations: the
    simulator's own names. codes: partner codes of a pay reply. results: the partner's number of a state.
    """

    manifest: Manifest
    service: str
    accounts: Mapping[Who, str]
    amount: Fen
    params: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[Op, str]
    codes: Mapping[Code, str]
    results: Mapping[Result, int] = field(default_factory=dict)

    @property
    def facts(self) -> FlowFacts:
        """What the manifest declares about the service; KeyError where it does not sell it."""
        return self.manifest.flows[self.service]

    def declared(self) -> frozenset[Need]:
        """Every need that the manifest's facts meet."""
        facts, can = self.facts, self.manifest.can
        met = {
            Need.AT_ONCE: not facts.ask_after_s,
            Need.LATER: bool(facts.ask_after_s),
            Need.FETCH: facts.bill_model is BillModel.FETCH_PAY,
            Need.QUERY: Can.QUERY_RESULT in can,
            # A biller that decides in its reply has nothing left to tell by notice.
            Need.NOTICE: Can.NOTICE in can and bool(facts.ask_after_s),
            Need.REVERSE: facts.can_reverse,
            Need.CANCEL: facts.can_cancel,
            Need.NO_CANCEL: not facts.can_cancel,
            Need.PARTIAL: facts.partial,
            Need.FORGETS: facts.absent_void_after_s is not None,
            Need.BELATED: not facts.order_expires,
        }
        return frozenset(need for need, holds in met.items() if holds)
