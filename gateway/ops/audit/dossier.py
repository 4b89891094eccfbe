"""Everything the book holds about one payment, as values; judged by pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.states import OrderKind, State
from gateway.core.accounts import BY_CODE, Owner
from gateway.core.env import Env
from gateway.core.prices import commission, fee_on_partial
from gateway.core.rows import (
    Alarm,
    Attempt,
    Break,
    CommissionPlan,
    EvidenceRow,
    Order,
    Payment,
    Posting,
    Tariff,
    Transaction,
)

SUCCESSES = frozenset({"R05", "R06", "R08", "R09", "R17", "R41"})
"""Recipes that book what a biller was paid, or paid back."""
PAYING = frozenset({OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND})
_CARD_STATES = frozenset({State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED})


@dataclass(frozen=True, slots=True)
class Booked:
    """A transaction with its legs."""

    transaction: Transaction
    legs: Sequence[Posting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One payment. booked: in the order of their commits; the rest by serial."""

    payment: Payment
    orders: Sequence[Order]
    attempts: Sequence[Attempt]
    evidence: Sequence[EvidenceRow]
    booked: Sequence[Booked]
    breaks: Sequence[Break] = ()
    alarms: Sequence[Alarm] = ()

    def primary(self) -> Order | None:
        """The order that pays."""
        return next((order for order in self.orders if OrderKind(order.kind) in PAYING), None)

    def success_proof(self) -> EvidenceRow | None:
        """The evidence that a booked success names as its cause."""
        causes = {booked.transaction.cause_id for booked in self.booked if booked.transaction.recipe in SUCCESSES}
        return next((row for row in self.evidence if row.evidence_id in causes), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The dated rules of the book, by (version, service), and what adapters declare.

    counters: per biller and day (`YYYYMMDD`), the next number that its serials will get.
    """

    plans: Mapping[tuple[str, str], CommissionPlan]
    tariffs: Mapping[tuple[str, str], Tariff]
    counters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    env: Env | None = None

    def is_card(self, dossier: Dossier) -> bool:
        """Whether the payment loads a card meter: as its adapter declares, else as the book itself shows."""
        service = dossier.payment.service
        if self.env is not None and service in self.env.billers:
            return self.env.facts_of(service).card_meter
        states = {dossier.payment.state, *(order.from_state for order in dossier.orders)}
        return bool(states & _CARD_STATES) or any(order.kind == OrderKind.WRITE_CONFIRM for order in dossier.orders)

    def amounts(self, payment: Payment) -> dict[str, int] | None:
        """P, H, K, S, Q on what was paid, recomputed by the rule versions stored with the payment (M9).

        None without an amount paid, or where the book has lost the rule.
        """
        plan = self.plans.get((payment.commission_version, payment.service))
        if payment.paid_fen is None or plan is None or not payment.amount_fen:
            return None
        parts = commission(payment.paid_fen, plan)
        fee = fee_on_partial(payment.fee_fen, payment.amount_fen, payment.paid_fen)
        return {"P": payment.paid_fen, "H": fee, "K": parts.biller, "S": parts.station, "Q": parts.post}


def owner_of(account: str, payment: Payment) -> str | None:
    """The owner a leg on this account must name; None for a code that is not in the chart."""
    found = BY_CODE.get(account)
    if found is None:
        return None
    return {Owner.STATION: payment.institution_code, Owner.BILLER: payment.biller, Owner.NONE: ""}[found.owner]
