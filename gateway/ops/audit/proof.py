"""Every move has evidence or a command of ours behind it (M5, M11)."""

from collections.abc import Iterator

from contracts.outcomes import Reason
from contracts.states import OrderKind, OrderState, State
from gateway.core.rows import Order
from gateway.ops.audit import causes
from gateway.ops.audit.dossier import Dossier, Rules

_UNSENT = frozenset({Reason.EXPIRED_UNSENT, Reason.GIVEN_UP})
_POSTED = frozenset({State.SUCCESS, State.FAILED, State.REVERSED, State.CANCELLED, State.PAID_WAIT_WRITE})
_COMMANDS = frozenset({"clock", "command", "resolver"})


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """Each posting names the evidence or the order that caused it, and the state itself has a reason in the book."""
    known = {row.evidence_id for row in dossier.evidence}
    orders = {order.order_serial for order in dossier.orders}
    for booked in dossier.booked:
        transaction = booked.transaction
        if transaction.recipe == "R01":
            if transaction.cause != "accept":
                yield f"{transaction.txn_id}: reserved by {transaction.cause}"
        elif transaction.cause_id not in known and not (
            transaction.cause in _COMMANDS and transaction.cause_id in orders
        ):
            yield f"{transaction.txn_id} {transaction.recipe}: its cause {transaction.cause_id} is not in the book"
        for detail in causes.judge(booked, dossier):
            yield f"{transaction.txn_id}: {detail}"
    if not is_proven(dossier):
        yield f"nothing in the book led to {dossier.payment.state}"


def is_proven(dossier: Dossier) -> bool:
    """Whether evidence, or an order of ours, stands behind a state that needs no posting of its own.

    The others are proven by the cause of the posting that `orders-against-postings` demands of them: see `causes`.
    """
    state = State(dossier.payment.state)
    if state in (State.RESERVED, State.SENT) or (dossier.payment.kind == OrderKind.PAY and state in _POSTED):
        return True
    if state is State.CANCELLING:
        return _has(dossier, OrderKind.CANCEL)
    if state is State.REVERSING:
        return _has(dossier, OrderKind.REVERSE)
    if state is State.WRITE_FAILED:
        return _has(dossier, OrderKind.WRITE_CONFIRM, OrderState.REFUSED)
    if (state is State.WRITTEN and _commanded_write(dossier)) or (state is State.FAILED and _unsent(dossier)):
        return True
    # Evidence that waited for an undo to end keeps the effect it had when it came.
    return any(row.effect.endswith(f"->{state}") or row.effect == "wait" for row in dossier.evidence)


def _has(dossier: Dossier, kind: OrderKind, state: OrderState | None = None) -> bool:
    return any(order.kind == kind and state in (None, order.state) for order in dossier.orders)


def _commanded_write(dossier: Dossier) -> bool:
    """The terminal's signed "written", where the biller takes no confirmation: an order born DONE."""
    return any(_born_done(order) for order in dossier.orders)


def _born_done(order: Order) -> bool:
    return order.kind == OrderKind.WRITE_CONFIRM and order.state == OrderState.DONE and order.attempts == 0


def _unsent(dossier: Dossier) -> bool:
    primary = dossier.primary()
    return dossier.payment.reason in _UNSENT and primary is not None and primary.state == OrderState.VOID
