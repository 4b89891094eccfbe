"""What two people have ruled is not moved by the biller's later word; a contradiction is told (M5, M12).

A ruling says one thing: the biller keeps the money, or it does not. So does evidence, or it says neither. Where both
say something and it is not the same, a break with an alarm opens beside the ruling, and two people rule again.
"""

from collections.abc import Sequence

from contracts.states import OrderEvent, OrderKind, OrderState
from gateway.core.pieces import PAYING, UNDECIDED, UNDOING
from gateway.core.rows import Order

CONTRADICTED = "RULING_CONTRADICTED"
"""Code of the break."""

_KEEPS = frozenset({"Paid", "Accepted"})
_DOES_NOT = frozenset({"Declined", "Undone"})
_UNDO_FAILED = frozenset({"StillPaid", "NotUndone", "Declined"})
_EVENTS = {
    OrderEvent.PAID: True,
    OrderEvent.ACCEPTED: True,
    OrderEvent.DECLINED: False,
    OrderEvent.ABSENT_FINAL: False,
}


def ruled_paid(order: Order, orders: Sequence[Order]) -> bool:
    """What the ruling that ended `order` says: the biller keeps the money. orders: all of the payment."""
    if order.kind == OrderKind.CANCEL:
        return order.state != OrderState.DONE
    primary = next(one for one in orders if OrderKind(one.kind) in PAYING)
    undone = [one.ruling for one in orders if one.kind == OrderKind.CANCEL and one.state == OrderState.DONE]
    if primary.ruling is not None and primary.ruling in undone:
        return False
    return primary.state == OrderState.DONE


def says_paid(kind: OrderKind, answer: str, *, absent: bool, never: bool) -> bool | None:
    """Whether by this answer about an order of `kind` the biller keeps the money; None: it says neither.

    answer: name of an outcome (contracts.outcomes). absent: "no such order" is old enough and not too old to be
    believed of the order itself; never: of the paying order, where an undo is answered with NeverPaid (M6).
    """
    if kind in PAYING:
        if answer in _KEEPS:
            return True
        return False if answer in _DOES_NOT or (answer == "Absent" and absent) else None
    if kind not in UNDOING:
        return None
    if answer in _UNDO_FAILED or (answer == "Absent" and absent):
        return True
    return False if answer == "Undone" or (answer == "NeverPaid" and never) else None


def event_says_paid(event: str) -> bool | None:
    """The same of evidence about a paying order that had waited for an undo to end."""
    return _EVENTS.get(OrderEvent(event.lower())) if event.lower() in set(OrderEvent) else None


def own_undo(orders: Sequence[Order]) -> bool:
    """Whether an undo of ours is under way or done: that the payment is undone is no news then."""
    undos = [one for one in orders if OrderKind(one.kind) in UNDOING]
    return any(one.state in UNDECIDED or one.state == OrderState.DONE for one in undos)
