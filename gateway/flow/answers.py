"""Between an adapter's values and the core's items: orders out of granted claims, answers out of outcomes."""

from datetime import UTC, datetime

import msgspec

from contracts.biller import BillQuery, PayOrder, ResultQuery, UndoOrder
from contracts.money import Fen
from contracts.outcomes import (
    Absent,
    Accepted,
    Declined,
    NeverPaid,
    NotSent,
    NotUndone,
    Paid,
    Pending,
    StillPaid,
    Undone,
    Unknown,
)
from contracts.states import OrderKind
from gateway.core.items import Answer, Granted, Question
from gateway.core.rows import Order, Payment, QueryToken

AnyAnswer = (
    Paid | Accepted | Declined | NotSent | Unknown | Pending | Absent | Undone | StillPaid | NeverPaid | NotUndone
)

# The book's JSON is our own writing.
_plain = msgspec.json.Decoder().decode


def moment(ms: int) -> datetime:
    """A book's time as an aware datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def pay_order(payment: Payment, order: Order, *, bill_echo: str, send_by: int, send_deadline: float) -> PayOrder:
    """What the adapter may put on the wire for a PAY, DEBIT or REFUND."""
    return PayOrder(
        service=payment.service,
        gateway_serial=payment.gateway_serial,
        partner_serial=order.partner_serial,
        institution_code=payment.institution_code,
        biller_account=payment.biller_account,
        amount=Fen(payment.amount_fen),
        params=_plain(payment.params),
        bill=_plain(bill_echo),
        created_at=moment(order.created_at),
        send_by=moment(send_by),
        send_deadline=send_deadline,
        attempt=max(order.attempts, 1),
    )


def granted_order(granted: Granted, send_deadline: float) -> PayOrder | UndoOrder:
    """The order a claim granted, for the adapter."""
    order, payment = granted.order, granted.payment
    primary = granted.original if granted.original is not None else order
    pay = pay_order(payment, primary, bill_echo=granted.bill_echo, send_by=granted.send_by, send_deadline=send_deadline)
    if order.kind not in (OrderKind.REVERSE, OrderKind.CANCEL):
        return pay
    return UndoOrder(
        kind=OrderKind(order.kind),
        partner_serial=order.partner_serial,
        original=pay,
        original_biller_serial=payment.biller_serial or primary.biller_serial,
        reason=order.note or "",
        send_by=moment(granted.send_by),
        send_deadline=send_deadline,
        attempt=granted.attempt,
    )


def result_query(question: Question) -> ResultQuery:
    """A question about an order, for the adapter."""
    order, payment = question.order, question.payment
    return ResultQuery(
        kind=OrderKind(order.kind),
        service=payment.service,
        partner_serial=order.partner_serial,
        original_partner_serial=question.original.partner_serial if question.original else None,
        biller_account=payment.biller_account,
        biller_serial=order.biller_serial,
        amount=Fen(payment.amount_fen),
        params=_plain(payment.params),
        created_at=moment(order.created_at),
    )


def bill_query(token: QueryToken) -> BillQuery:
    """A bill query, for the adapter."""
    return BillQuery(
        service=token.service,
        institution_code=token.institution_code,
        biller_account=token.biller_account,
        params=_plain(token.params),
    )


def flatten(answer: AnyAnswer) -> Answer:
    """An adapter's value as the core takes it."""
    paid = answer.paid.value if isinstance(answer, Paid) else 0
    return Answer(
        kind=type(answer).__name__,
        resp_code=answer.resp_code,
        cause=getattr(answer, "cause", ""),
        reason=str(getattr(answer, "reason", "")),
        biller_serial=getattr(answer, "biller_serial", ""),
        paid_fen=paid,
        biller_date=getattr(answer, "biller_date", None),
        ask_after_s=getattr(answer, "ask_after_s", 0),
        retry_after_s=getattr(answer, "retry_after_s", 0),
        alarm=getattr(answer, "alarm", False),
        raw=answer.raw,
    )


def answered(answer: Answer) -> bool:
    """Whether the biller spoke at all: what the circuit breaker counts as a success."""
    return bool(answer.resp_code) or answer.kind not in ("NotSent", "Unknown")
