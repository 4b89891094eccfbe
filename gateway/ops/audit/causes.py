"""Every end of a payment follows from evidence of the right kind (M4, M5): who proved it, and did that say so."""

from collections.abc import Iterator

from contracts.outcomes import Reason
from contracts.states import Event, OrderKind, OrderState
from gateway.core.rows import EvidenceRow, Order
from gateway.ops.audit.dossier import PAYING, SUCCESSES, Booked, Dossier

STILL_PAID = "STILL_PAID"
NOT_SENT = "NotSent"
_UNPAID = frozenset({Event.DECLINED, Event.ABSENT_FINAL})
_CLOCKED = frozenset({Reason.EXPIRED_UNSENT, Reason.GIVEN_UP})
_UNDOES = {
    "R07": (Event.REVERSED, OrderKind.REVERSE),
    "R10": (Event.CANCELLED, OrderKind.CANCEL),
    "R12": (Event.CANCELLED, OrderKind.CANCEL),
}


def judge(booked: Booked, dossier: Dossier) -> Iterator[str]:
    """One posting against the evidence it names as its cause."""
    recipe, cause_id = booked.transaction.recipe, booked.transaction.cause_id
    row = next((one for one in dossier.evidence if one.evidence_id == cause_id), None)
    if recipe == "R02":
        yield from judge_unsent(dossier)
    elif row is None:
        # A cause that is in the book and no evidence: a command or a clock of ours.
        if any(order.order_serial == cause_id for order in dossier.orders) and recipe != "R01":
            yield f"{recipe} follows from our own order {cause_id}, and only evidence may lead there"
    elif recipe in SUCCESSES:
        yield from judge_paid(row, dossier)
    elif recipe == "R03":
        yield from judge_unpaid(row, dossier)
    elif recipe in _UNDOES:
        event, kind = _UNDOES[recipe]
        order = _order(row, dossier)
        if row.event != event or order is None or (order.kind, order.state) != (kind, OrderState.DONE):
            yield f"{recipe} follows from {row.event} of {row.order_serial}, and no done {kind} says {event}"


def judge_paid(row: EvidenceRow, dossier: Dossier) -> Iterator[str]:
    """PAID names the amount; a refused undo (STILL_PAID) the whole, or what a proof that waited for it says."""
    paid, order = dossier.payment.paid_fen, _order(row, dossier)
    if row.event == Event.PAID and order is not None and OrderKind(order.kind) in PAYING:
        if row.paid_fen != paid:
            yield f"paid_fen is {paid}, the evidence that proved it says {row.paid_fen}"
    elif row.event == STILL_PAID and order is not None and order.kind == OrderKind.REVERSE:
        known = {one.paid_fen for one in dossier.evidence if one.event == Event.PAID}
        if paid not in known | {dossier.payment.amount_fen}:
            yield f"paid_fen is {paid}, and no evidence says so"
    else:
        yield f"its success follows from {row.event} of {row.order_serial}, which proves no payment"


def judge_unpaid(row: EvidenceRow, dossier: Dossier) -> Iterator[str]:
    """DECLINED or ABSENT_FINAL of the paying order, or an undo that found nothing; earlier attempts proven unsent."""
    order = _order(row, dossier)
    kind = OrderKind(order.kind) if order is not None else None
    never = row.event == Event.REFUSED and kind in (OrderKind.REVERSE, OrderKind.CANCEL)
    if not (never or (row.event in _UNPAID and kind in PAYING)):
        yield f"its failure follows from {row.event} of {row.order_serial}, which proves nothing unpaid"
    tries = _tries(dossier)
    open_ = [attempt for attempt, outcome in tries[:-1] if outcome != NOT_SENT]
    if open_ and row.event == Event.DECLINED:
        yield f"attempts {open_} before its last are not proven unsent"


def judge_unsent(dossier: Dossier) -> Iterator[str]:
    """A clock or a person ended it: every attempt is proven unsent."""
    sent = [attempt for attempt, outcome in _tries(dossier) if outcome != NOT_SENT]
    if sent:
        yield f"given up as unsent, and attempts {sent} are not proven unsent"
    # A correction has cleared the reason.
    if dossier.payment.reason not in _CLOCKED and dossier.success_proof() is None:
        yield f"given up as unsent, and its reason is {dossier.payment.reason}"


def _tries(dossier: Dossier) -> list[tuple[int, str | None]]:
    primary = dossier.primary()
    serial = primary.order_serial if primary else ""
    return [(one.attempt, one.outcome) for one in dossier.attempts if one.order_serial == serial]


def _order(row: EvidenceRow, dossier: Dossier) -> Order | None:
    return next((order for order in dossier.orders if order.order_serial == row.order_serial), None)
