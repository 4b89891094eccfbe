"""Orders against their attempts: nothing was sent without a row, and nothing is in flight without a call (M4)."""

from collections.abc import Iterator

from contracts.states import OrderEvent, OrderState
from gateway.core.rows import Attempt, Order
from gateway.ops.audit.dossier import Dossier, Rules

_MOVING = frozenset({OrderState.READY, OrderState.SENT})
_ENDED = frozenset({OrderState.DONE, OrderState.REFUSED, OrderState.VOID})


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """All orders of one payment."""
    by_order: dict[str, list[Attempt]] = {}
    for attempt in dossier.attempts:
        by_order.setdefault(attempt.order_serial, []).append(attempt)
    moving = [order.order_serial for order in dossier.orders if order.state in _MOVING]
    if len(moving) > 1:
        yield f"{' and '.join(moving)} are READY or SENT at once"
    restored = {row.order_serial for row in dossier.evidence if row.event == OrderEvent.RESTORED.upper()}
    for order in dossier.orders:
        tries = by_order.get(order.order_serial, [])
        for detail in judge_order(order, tries, restored=order.order_serial in restored):
            yield f"{order.kind} {order.order_serial}: {detail}"


def judge_order(order: Order, tries: list[Attempt], *, restored: bool = False) -> Iterator[str]:
    """One order and its attempts in their order. restored: the book was a copy, later attempts may be lost."""
    if [one.attempt for one in tries] != list(range(1, order.attempts + 1)):
        yield f"it counts {order.attempts} attempts, the book has {[one.attempt for one in tries]}"
        return
    last = tries[-1] if tries else None
    open_ = [one.attempt for one in tries if one.outcome is None]
    if order.in_flight and (last is None or last.outcome is not None):
        yield "it is in flight and no attempt is open"
    if not order.in_flight and open_:
        yield f"attempt {open_} is open and the order is not in flight"
    if order.in_flight and open_ != [order.attempts]:
        yield f"in flight, and open attempts are {open_}"
    if order.in_flight != (order.call_deadline is not None):
        yield "call_deadline does not go with in_flight"
    if last is not None and not _counts_from(order, last, restored=restored):
        yield f"send_by is {order.send_by}, that of its last attempt {last.send_by} (M6 counts from it)"
    if any((one.outcome is None) != (one.ended_at is None) for one in tries):
        yield "an attempt's outcome and ended_at do not go together"
    if order.state == OrderState.SENT and last is None:
        yield "SENT without an attempt"
    if order.state == OrderState.READY and order.in_flight:
        yield "READY and in flight"
    if (order.state in _ENDED) != (order.ended_at is not None):
        yield f"ended_at does not go with {order.state}"


def _counts_from(order: Order, last: Attempt, *, restored: bool) -> bool:
    return order.send_by == last.send_by or (restored and order.send_by is not None and order.send_by > last.send_by)
