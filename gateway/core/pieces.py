"""One piece of evidence as it is weighed, and the sets that say which table weighs it."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.manifest import FlowFacts
from contracts.states import Event, OrderEvent, OrderKind, OrderState
from gateway.core.items import Answer
from gateway.core.moves import Facts
from gateway.core.rows import Order

PAYING = frozenset({OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND})
"""Orders whose own state is the payment's, as long as nothing undoes them."""
UNDOING = frozenset({OrderKind.REVERSE, OrderKind.CANCEL})
"""Orders that take back what a paying one did."""
UNDECIDED = frozenset({OrderState.READY, OrderState.SENT, OrderState.UNKNOWN})
"""States of an order that has not ended."""
PAY_EVENTS: Mapping[OrderEvent, Event] = {
    OrderEvent.PAID: Event.PAID,
    OrderEvent.DECLINED: Event.DECLINED,
    OrderEvent.ACCEPTED: Event.ACCEPTED,
    OrderEvent.NOT_SENT: Event.NOT_SENT,
    OrderEvent.LOST: Event.LOST,
    OrderEvent.RESTORED: Event.LOST,
    OrderEvent.ABSENT_FINAL: Event.ABSENT_FINAL,
}
"""What an event of a PAY, DEBIT or REFUND is to its payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of evidence on its way through the tables.

    current: it speaks of the order's newest attempt. asked_at: the answer is not older than this, None: than now.
    """

    evidence_id: str
    source: str
    answer: Answer
    record_id: str | None
    sent: str | None = None
    current: bool = True
    asked_at: int | None = None

    def facts(self, reason: str | None = None) -> Facts:
        """What goes into order, payment and postings."""
        answer = self.answer
        return Facts(
            source=self.source,
            cause_id=self.evidence_id,
            biller_serial=answer.biller_serial or None,
            paid_fen=answer.paid_fen or None,
            biller_date=answer.biller_date,
            resp_code=answer.resp_code or None,
            reason=reason or answer.reason or None,
        )


def absent_is_final(order: Order, facts: FlowFacts, now: int, asked_at: int | None = None) -> bool:
    """M6: "no such payment" is evidence only between the two ages, counted from the last moment a byte could leave.

    It must have been old enough when it was asked, and not too old now: the answer was given somewhere between.
    """
    if order.send_by is None:
        return False
    asked = now if asked_at is None else min(asked_at, now)
    if asked - order.send_by < facts.absent_final_after_s * 1000:
        return False
    return facts.absent_void_after_s is None or now - order.send_by < facts.absent_void_after_s * 1000


def result_is_overdue(order: Order, now: int) -> bool:
    """Whether an accepted order's answer should have come by now: then it is LOST (design s5)."""
    return order.state == OrderState.SENT and order.result_due_at is not None and now >= order.result_due_at
