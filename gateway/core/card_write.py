"""The terminal's word on a card meter: written, or not (worked example s4.2, choice on WRITE_CONFIRM)."""

from collections.abc import Sequence

from contracts.manifest import Can
from contracts.states import Event, OrderKind, OrderState, State
from gateway.core import messages
from gateway.core.env import Env
from gateway.core.items import Answer, Refusal, Reply, ReportWrite, Taken
from gateway.core.judge import Judging, Piece
from gateway.core.keys import taken
from gateway.core.moves import Facts, Mover
from gateway.core.rows import Order, Payment
from gateway.core.states import Verdict, advance
from gateway.core.steps import Work
from gateway.core.targets import Targets, conflict, prepare

NO_END_MS = 253_402_214_400_000
"""9999-12-31: a write confirmation may go for ever, no clock ends it (worked example s4.2)."""


def report_write(items: Sequence[ReportWrite], env: Env) -> Work[list[Reply]]:
    """Decide a batch of card-write reports. Replies: Taken or Refusal."""
    targets = yield from prepare(items, env)
    replies: list[Reply] = []
    for item in items:
        reply = targets.known(item) or _decide(item, targets)
        targets.keep_record(item)
        replies.append(reply)
    yield targets.book.write()
    return replies


def _decide(item: ReportWrite, targets: Targets) -> Taken | Refusal:
    book, mover = targets.book, targets.movers[item.arrival.arrival_id]
    payment = book.need(Payment, item.gateway_serial)
    writes = [
        order
        for order in book.all(Order)
        if order.gateway_serial == payment.gateway_serial and order.kind == OrderKind.WRITE_CONFIRM
    ]
    running = any(order.state in (OrderState.READY, OrderState.SENT, OrderState.UNKNOWN) for order in writes)
    if item.written and (payment.state == State.WRITTEN or running):
        return taken(payment, book)  # said again: nothing new
    event = Event.WROTE if item.written else Event.WRITE_BAD
    move = advance(State(payment.state), event)
    if payment.kind == OrderKind.PAY and move in (Verdict.WAIT, Verdict.BREAK):
        # A card written while its money goes back: never refused, it waits for the cancel's end or opens a break.
        primary = next(order for order in book.all(Order) if order.order_serial == payment.gateway_serial)
        piece = Piece(
            evidence_id=mover.serials.mint(),
            source="terminal",
            answer=Answer(kind="", cause=item.card_data or ""),
            record_id=None,
        )
        Judging(mover).report(piece, primary, payment, event)
        return taken(book.need(Payment, payment.gateway_serial), book)
    if running or payment.kind != OrderKind.PAY or isinstance(move, Verdict):
        return targets.refuse(item, conflict(payment, f"A payment in {payment.state} has no card to write."))
    confirm = item.written and Can.WRITE_CONFIRM in mover.env.manifests[payment.biller].can
    state = OrderState.READY if confirm else OrderState.DONE if item.written else OrderState.REFUSED
    order = _order(item, payment, state, mover)
    book.add(order)
    if state is OrderState.READY:
        book.add(messages.request(order, payment, mover.serials.mint(), mover.now, mover.env))
        return taken(payment, book)
    return taken(mover.payment(payment, event, Facts(source="command", cause_id=order.order_serial), order), book)


def _order(item: ReportWrite, payment: Payment, state: OrderState, mover: Mover) -> Order:
    serial = mover.serials.mint()
    digits = mover.env.manifests[payment.biller].serial_digits
    ready = state is OrderState.READY
    return Order(
        order_serial=serial,
        gateway_serial=payment.gateway_serial,
        kind=OrderKind.WRITE_CONFIRM,
        state=state,
        biller=payment.biller,
        biller_account=payment.biller_account,
        partner_serial=serial if digits is None else mover.number(payment.biller, digits),
        original_serial=payment.gateway_serial,
        created_at=mover.now,
        send_before=NO_END_MS,
        next_try_at=mover.now if ready else None,
        ended_at=None if ready else mover.now,
        note=item.card_data,
    )
