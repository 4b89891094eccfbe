"""Judging one piece of evidence: which event it is, and what the two tables make of it (M4, M5, M6).

Evidence is never refused: it moves something, waits for an open order to end, opens a break, or is kept. A result of
a call counts as NotSent or LOST only for the current attempt; Paid counts from any.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from contracts.manifest import FlowFacts
from contracts.outcomes import Reason
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.items import Answer
from gateway.core.moves import Facts, Mover, next_question_ms
from gateway.core.rows import EvidenceRow, Order, Payment
from gateway.core.states import Verdict, advance, advance_order

PAYING = frozenset({OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND})
_PAY_EVENTS = {
    OrderEvent.PAID: Event.PAID,
    OrderEvent.DECLINED: Event.DECLINED,
    OrderEvent.ACCEPTED: Event.ACCEPTED,
    OrderEvent.NOT_SENT: Event.NOT_SENT,
    OrderEvent.LOST: Event.LOST,
    OrderEvent.ABSENT_FINAL: Event.ABSENT_FINAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of evidence on its way through the tables. current: it speaks of the order's newest attempt."""

    evidence_id: str
    source: str
    answer: Answer
    record_id: str | None
    current: bool = True

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


def absent_is_final(order: Order, facts: FlowFacts, now: int) -> bool:
    """M6: "no such payment" is evidence only between the two ages, counted from the last moment a byte could leave."""
    if order.send_by is None:
        return False
    age = now - order.send_by
    if age < facts.absent_final_after_s * 1000:
        return False
    return facts.absent_void_after_s is None or age < facts.absent_void_after_s * 1000


class Judging:
    """Judges evidence against one book. Returns the effect as text, kept with the evidence."""

    def __init__(self, mover: Mover) -> None:
        self._mover, self._book = mover, mover.book

    def judge(self, piece: Piece, order: Order, payment: Payment) -> str:
        """Let one answer work on an order. The caller has written the attempt's end already."""
        facts = self._mover.env.facts_of(payment.service)
        if piece.answer.alarm:
            self._mover.alarm("answer.contradicts", payment, piece.answer.cause)
        if OrderKind(order.kind) in PAYING:
            effect = self._paying(piece, order, payment, facts)
        else:
            effect = self._undoing(piece, order, payment, facts)
        return effect

    def _paying(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        answer, now = piece.answer, self._mover.now
        match answer.kind:
            case "Paid":
                return self._paid(piece, order, payment, facts)
            case "Declined":
                return self.apply(piece, order, payment, OrderEvent.DECLINED)
            case "Accepted":
                return self.apply(piece, order, payment, OrderEvent.ACCEPTED)
            case "NotSent" if piece.current and piece.source == "reply":
                return self.apply(piece, order, payment, OrderEvent.NOT_SENT)
            case "Absent" if absent_is_final(order, facts, now):
                return self.apply(piece, order, payment, OrderEvent.ABSENT_FINAL, reason=Reason.ABSENT)
            case "Undone":
                return self._undone(piece, order, payment)
            case "Pending" if order.result_due_at is None or now < order.result_due_at:
                return self.keep(piece, order, payment, "PENDING")
            case _ if self._is_lost(piece, order):
                return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.keep(piece, order, payment, "LOST")

    def _is_lost(self, piece: Piece, order: Order) -> bool:
        """An accepted order (SENT) is lost by its own call or when its result is overdue, not by a vague question."""
        if piece.source in ("reply", "clock"):
            return piece.current
        overdue = order.result_due_at is not None and self._mover.now >= order.result_due_at
        return order.state != OrderState.SENT or overdue

    def _paid(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        answer, booked = piece.answer, self._mover
        if order.state == OrderState.DONE:
            return self._paid_again(piece, order, payment)
        whole = answer.paid_fen == payment.amount_fen
        partial = facts.partial and 0 < answer.paid_fen < payment.amount_fen
        if not whole and not partial:
            detail = f"the biller says {answer.paid_fen} fen were paid, {payment.amount_fen} fen were ordered"
            booked.break_(payment, "AMOUNT_DIFF", detail, piece.evidence_id, answer.paid_fen - payment.amount_fen)
            return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.apply(piece, order, payment, OrderEvent.PAID)

    def _paid_again(self, piece: Piece, order: Order, payment: Payment) -> str:
        """A repeat of what is known is kept; another serial or amount under one order is a second charge."""
        answer = piece.answer
        same_serial = not answer.biller_serial or answer.biller_serial == order.biller_serial
        if same_serial and answer.paid_fen == payment.paid_fen:
            return self.keep(piece, order, payment, "PAID")
        detail = f"paid again as {answer.biller_serial}, {answer.paid_fen} fen, beside {order.biller_serial}"
        self._mover.break_(payment, "DUPLICATE", detail, piece.evidence_id, answer.paid_fen)
        return self.keep(piece, order, payment, "PAID")

    def _undone(self, piece: Piece, order: Order, payment: Payment) -> str:
        """The original is undone: the end of our own open undo, else a break for two people (design s5)."""
        open_states = (OrderState.READY, OrderState.SENT, OrderState.UNKNOWN)
        own = [o for o in self._orders(payment) if OrderKind(o.kind) not in PAYING and o.state in open_states]
        undo = next((o for o in own if o.kind in (OrderKind.REVERSE, OrderKind.CANCEL)), None)
        if undo is not None and undo.attempts > 0:
            return self._undoing(piece, undo, payment, self._mover.env.facts_of(payment.service))
        if any(o.state == OrderState.DONE for o in self._orders(payment) if OrderKind(o.kind) not in PAYING):
            return self.keep(piece, order, payment, "REVERSED")
        detail = "the biller says that the payment is undone, without an order of ours"
        self._mover.break_(payment, "UNDONE_BY_BILLER", detail, piece.evidence_id, payment.amount_fen)
        return self.keep(piece, order, payment, "REVERSED")

    def _undoing(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """Answers about a REVERSE or CANCEL (M8) or a WRITE_CONFIRM."""
        answer, now, reverse = piece.answer, self._mover.now, order.kind == OrderKind.REVERSE
        match answer.kind:
            case "Undone":
                return self.apply(piece, order, payment, OrderEvent.REVERSED if reverse else OrderEvent.CANCELLED)
            case "Paid" if order.kind == OrderKind.WRITE_CONFIRM:
                return self.apply(piece, order, payment, OrderEvent.WROTE)
            case "StillPaid":
                return self._still_paid(piece, order, payment)
            case "NeverPaid":
                return self._never_paid(piece, order, payment, facts)
            case "NotUndone" | "Declined":
                return self.apply(piece, order, payment, OrderEvent.REFUSED)
            case "NotSent" if piece.current and piece.source == "reply":
                return self.apply(piece, order, payment, OrderEvent.NOT_SENT)
            case "Absent" if absent_is_final(order, facts, now):
                return self.apply(piece, order, payment, OrderEvent.ABSENT_FINAL, reason=Reason.ABSENT)
            case _ if self._is_lost(piece, order):
                return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.keep(piece, order, payment, "LOST")

    def _still_paid(self, piece: Piece, order: Order, payment: Payment) -> str:
        """A refused undo that proves the payment booked: for a REVERSE, PAY ends as DONE in the same commit."""
        if order.kind != OrderKind.REVERSE or payment.state != State.REVERSING:
            return self.apply(piece, order, payment, OrderEvent.REFUSED)
        primary = self._primary(payment)
        proof = Facts(
            source=piece.source,
            cause_id=piece.evidence_id,
            biller_serial=primary.biller_serial,
            paid_fen=payment.amount_fen,
            resp_code=piece.answer.resp_code or None,
        )
        refused = piece.facts(reason=piece.answer.reason)
        ended = self._mover.end_order(order, OrderState.REFUSED, refused)
        primary = self._mover.end_order(primary, OrderState.DONE, proof)
        moved = self._mover.payment(payment, Event.PAID, proof, primary)
        effect = f"{payment.state}->{moved.state}"
        self._write(piece, ended, payment, "STILL_PAID", effect)
        self._judge_waiting(ended, payment)
        return effect

    def _never_paid(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """ "Original not found" counts only between the ages of M6, and then says something about PAY."""
        primary = self._primary(payment)
        if not absent_is_final(primary, facts, self._mover.now):
            return (
                self.apply(piece, order, payment, OrderEvent.LOST)
                if piece.current
                else self.keep(piece, order, payment, "NEVER_PAID")
            )
        effect = self.apply(piece, order, payment, OrderEvent.REFUSED)
        payment = self._book.need(Payment, payment.gateway_serial)
        primary = self._primary(payment)
        if order.kind == OrderKind.REVERSE and primary.state == OrderState.UNKNOWN:
            absent = self._move(piece, primary, payment, OrderEvent.ABSENT_FINAL, Reason.ABSENT)
            return f"{effect}, {absent}"
        detail = "the biller has no payment to cancel, our book has it as paid"
        self._mover.break_(payment, "STATUS_DIFF_OVER", detail, piece.evidence_id, payment.amount_fen)
        return effect

    def apply(self, piece: Piece, order: Order, payment: Payment, event: OrderEvent, reason: str | None = None) -> str:
        """Run an order event through both tables, write the evidence, judge what waited for it."""
        effect = self._move(piece, order, payment, event, reason)
        self._write(piece, order, payment, event.upper(), effect, waiting=effect == Verdict.WAIT)
        self._judge_waiting(order, payment)
        return effect

    def _move(self, piece: Piece, order: Order, payment: Payment, event: OrderEvent, reason: str | None) -> str:
        kind, was = OrderKind(order.kind), OrderState(order.state)
        if kind in PAYING:
            verdict = self._verdict(order, payment, event)
            if verdict is not None:
                if verdict is Verdict.BREAK:
                    self._against(piece, payment, event)
                return verdict
            payment = self._book.need(Payment, payment.gateway_serial)
            order = self._book.need(Order, order.order_serial)
        to = advance_order(kind, was, event, voided_by=order.voided_by)
        if isinstance(to, Verdict):
            if to is Verdict.BREAK:
                self._against(piece, payment, event)
            return to
        moved = self._change_order(piece, order, to, event, payment, reason)
        if event is OrderEvent.REVERSED:
            self._void_original(payment, piece)
        if event is OrderEvent.NOT_SENT and kind not in PAYING:
            return f"order {was}->{to}"
        told = self._payment_event(event, moved)
        after = self._mover.payment(payment, told, piece.facts(reason), moved)
        if was is OrderState.READY and event in (OrderEvent.PAID, OrderEvent.ACCEPTED):
            self._mover.alarm("unsent.was.sent", after, f"{event} although the order was READY")
        if payment.state == State.FAILED and after.state != State.FAILED:
            self._mover.alarm("failed.was.paid", after, "a payment we had as failed is proven paid")
        return f"{payment.state}->{after.state}"

    def _verdict(self, order: Order, payment: Payment, event: OrderEvent) -> Verdict | None:
        """None where the payment's table has an edge. A REVERSE that is still READY is given up for a PAID."""
        state, told = State(payment.state), _PAY_EVENTS[event]
        if told is Event.PAID and state is State.REVERSING:
            undo = next(o for o in self._orders(payment) if o.kind == OrderKind.REVERSE and o.state in _OPEN_UNDO)
            if undo.state != OrderState.READY:
                return Verdict.WAIT
            self.give_up(undo, payment, Reason.GIVEN_UP)
            return None
        card = self._mover.env.facts_of(payment.service).card_meter
        move = advance(state, told, card_meter=card)
        return move if isinstance(move, Verdict) else None

    def give_up(self, order: Order, payment: Payment, reason: Reason, event: OrderEvent = OrderEvent.GIVE_UP) -> None:
        """End a READY order that never left: by a person, or by its clock (a clock may end what is proven unsent)."""
        to = advance_order(OrderKind(order.kind), OrderState(order.state), event)
        source = "clock" if event is OrderEvent.EXPIRED else "command"
        facts = Facts(source=source, cause_id=order.order_serial, reason=reason)
        ended = self._mover.end_order(order, OrderState(to), facts)
        if OrderKind(order.kind) in PAYING:
            self._mover.payment(payment, Event.GIVE_UP, facts, ended)
        else:
            self._mover.payment(payment, self._payment_event(OrderEvent.REFUSED, ended), facts, ended)

    def _change_order(
        self, piece: Piece, order: Order, to: OrderState, event: OrderEvent, payment: Payment, reason: str | None
    ) -> Order:
        now, answer = self._mover.now, piece.answer
        facts = self._mover.env.facts_of(payment.service)
        if to in (OrderState.DONE, OrderState.REFUSED, OrderState.VOID):
            return self._mover.end_order(order, to, piece.facts(reason))
        if to is OrderState.READY:
            return self._mover.order(order, state=to, next_try_at=now + max(answer.retry_after_s, 1) * 1000)
        if event is OrderEvent.ACCEPTED and to is OrderState.SENT:
            ask_after = answer.ask_after_s or facts.ask_after_s or 60
            return self._mover.order(
                order,
                state=to,
                biller_serial=answer.biller_serial or order.biller_serial,
                resp_code=answer.resp_code or order.resp_code,
                ask_at=now + ask_after * 1000,
                result_due_at=order.result_due_at or now + (facts.result_due_s or 86400) * 1000,
            )
        first = order.state != OrderState.UNKNOWN
        asks = 0 if first else order.asks
        return self._mover.order(
            order,
            state=to,
            rung=max(order.rung, 1),
            asks=asks,
            ask_at=now + next_question_ms(asks, facts.query_min_interval_s) if not order.in_flight else None,
            biller_serial=answer.biller_serial or order.biller_serial,
            resp_code=answer.resp_code or order.resp_code,
        )

    def _void_original(self, payment: Payment, piece: Piece) -> None:
        """The REVERSE is DONE: its PAY is void, nothing was booked."""
        primary = self._primary(payment)
        to = advance_order(OrderKind(primary.kind), OrderState(primary.state), OrderEvent.REVERSED)
        ended = self._mover.end_order(primary, OrderState(to), Facts(source=piece.source, cause_id=piece.evidence_id))
        self._mover.order(ended, voided_by=OrderEvent.REVERSED)

    def _payment_event(self, event: OrderEvent, order: Order) -> Event:
        if event in (OrderEvent.REFUSED, OrderEvent.ABSENT_FINAL) and OrderKind(order.kind) not in PAYING:
            from_state = order.from_state if order.kind == OrderKind.CANCEL else None
            return {
                State.PAID_WAIT_WRITE: Event.REFUSED_UNWRITTEN,
                State.WRITE_FAILED: Event.REFUSED_BAD_WRITE,
            }.get(State(from_state) if from_state else State.SUCCESS, Event.REFUSED)
        return {
            OrderEvent.REVERSED: Event.REVERSED,
            OrderEvent.CANCELLED: Event.CANCELLED,
            OrderEvent.WROTE: Event.WROTE,
            OrderEvent.REFUSED: Event.REFUSED,
        }.get(event) or _PAY_EVENTS[event]

    def _against(self, piece: Piece, payment: Payment, event: OrderEvent) -> None:
        code = {
            OrderEvent.PAID: "STATUS_DIFF_SHORT",
            OrderEvent.ACCEPTED: "STATUS_DIFF_SHORT",
        }.get(event, "STATUS_DIFF_OVER")
        detail = f"{event} by {piece.source} against {payment.state}"
        self._mover.break_(payment, code, detail, piece.evidence_id, payment.amount_fen)

    def _judge_waiting(self, order: Order, payment: Payment) -> None:
        """Evidence about PAY that waited for an undo is judged when that order has ended."""
        if OrderKind(order.kind) in PAYING:
            return
        if self._book.need(Order, order.order_serial).state in _OPEN_UNDO:
            return
        waiting = [e for e in self._book.all(EvidenceRow) if e.waiting and e.gateway_serial == payment.gateway_serial]
        for row in sorted(waiting, key=lambda e: (e.created_at, e.evidence_id)):
            self._book.put(replace(row, waiting=False))
            now = self._book.need(Payment, payment.gateway_serial)
            piece = Piece(
                evidence_id=row.evidence_id,
                source=row.source,
                record_id=row.record_id,
                answer=Answer(
                    kind="",
                    biller_serial=row.biller_serial or "",
                    paid_fen=row.paid_fen or 0,
                    biller_date=row.biller_date,
                    resp_code=row.resp_code or "",
                    cause=row.cause or "",
                ),
            )
            self._move(piece, self._primary(now), now, OrderEvent(row.event.lower()), row.cause)

    def keep(self, piece: Piece, order: Order, payment: Payment, event: str) -> str:
        """Evidence that changes nothing."""
        self._write(piece, order, payment, event, Verdict.KEEP)
        return Verdict.KEEP

    def _write(
        self, piece: Piece, order: Order, payment: Payment, event: str, effect: str, *, waiting: bool = False
    ) -> None:
        answer = piece.answer
        self._book.add(
            EvidenceRow(
                evidence_id=piece.evidence_id,
                gateway_serial=payment.gateway_serial,
                order_serial=order.order_serial,
                record_id=piece.record_id,
                source=piece.source,
                event=event,
                effect=effect,
                waiting=waiting,
                biller_serial=answer.biller_serial or None,
                paid_fen=answer.paid_fen or None,
                biller_date=answer.biller_date,
                resp_code=answer.resp_code or None,
                cause=answer.cause or answer.reason or None,
                created_at=self._mover.now,
            )
        )

    def _orders(self, payment: Payment) -> list[Order]:
        return [o for o in self._book.all(Order) if o.gateway_serial == payment.gateway_serial]

    def _primary(self, payment: Payment) -> Order:
        return next(o for o in self._orders(payment) if OrderKind(o.kind) in PAYING)


_OPEN_UNDO = frozenset({OrderState.READY, OrderState.SENT, OrderState.UNKNOWN})
