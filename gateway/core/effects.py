"""What a decided event does: through the order's table and the payment's, into the book, once (worked example s4).

Evidence is never refused: it moves something, waits for an open order to end, opens a break, or is kept.
"""

from msgspec.structs import replace

from contracts.manifest import FlowFacts
from contracts.outcomes import Reason
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.items import Answer
from gateway.core.moves import Facts, Mover, next_question_ms
from gateway.core.pieces import PAY_EVENTS, PAYING, UNDECIDED, UNDOING, Piece, absent_is_final
from gateway.core.rows import EvidenceRow, Order, Payment
from gateway.core.ruled import CONTRADICTED, event_says_paid, ruled_paid, says_paid
from gateway.core.states import Verdict, advance, advance_order

_CARD_EVENTS = {OrderEvent.WROTE: Event.WROTE, OrderEvent.REFUSED: Event.WRITE_BAD}
_TOLD = {"Undone": "REVERSED", "StillPaid": "STILL_PAID", "NotUndone": "REFUSED", "NeverPaid": "NEVER_PAID"}
"""What an answer about a ruled order is kept as; the others by their names."""
_CARD_WAITED = {Event.WROTE.value: OrderState.DONE, Event.WRITE_BAD.value: OrderState.REFUSED}


class Effects:
    """Works on one book. Effects come back as text, kept with the evidence."""

    def __init__(self, mover: Mover) -> None:
        self._mover, self._book = mover, mover.book

    def apply(self, piece: Piece, order: Order, payment: Payment, event: OrderEvent, reason: str | None = None) -> str:
        """Run an order event through both tables, write the evidence, judge what waited for it."""
        effect = self._move(piece, order, payment, event, reason)
        self._write(piece, order, payment, event.upper(), effect, reason=reason)
        self._judge_waiting(payment)
        return effect

    def keep(self, piece: Piece, order: Order, payment: Payment, event: str) -> str:
        """Evidence that changes nothing."""
        self._write(piece, order, payment, event, Verdict.KEEP)
        return Verdict.KEEP

    def report(self, piece: Piece, order: Order, payment: Payment, event: Event) -> str:
        """The terminal's word on a card whose payment is being cancelled, or is: it waits, or opens a break."""
        verdict = advance(State(payment.state), event)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"{event} moves {payment.state}: it is no mere report")
        if verdict is Verdict.BREAK:
            self._against(piece, payment, event)
        self._write(piece, order, payment, event, verdict)
        return verdict

    def give_up(self, order: Order, payment: Payment, reason: Reason, event: OrderEvent = OrderEvent.GIVE_UP) -> None:
        """End a READY order that never left: by a person, or by its clock (a clock may end what is proven unsent)."""
        self._end_unsent(order, payment, reason, event)
        self._judge_waiting(payment)

    def _end_unsent(self, order: Order, payment: Payment, reason: Reason, event: OrderEvent) -> None:
        to = advance_order(OrderKind(order.kind), OrderState(order.state), event)
        source = "clock" if event is OrderEvent.EXPIRED else "command"
        facts = Facts(source=source, cause_id=order.order_serial, reason=reason)
        ended = self._mover.end_order(order, OrderState(to), facts)
        told = Event.GIVE_UP if OrderKind(order.kind) in PAYING else self._payment_event(OrderEvent.REFUSED, ended)
        self._mover.payment(payment, told, facts, ended)

    def _move(self, piece: Piece, order: Order, payment: Payment, event: OrderEvent, reason: str | None) -> str:
        kind, was = OrderKind(order.kind), OrderState(order.state)
        if kind in PAYING:
            verdict = self._verdict(payment, event)
            if verdict is not None:
                if verdict is Verdict.BREAK:
                    self._against(piece, payment, event)
                return verdict
            payment = self._book.need(Payment, payment.gateway_serial)
            order = self._book.need(Order, order.order_serial)
        to = advance_order(kind, was, event, voided_by=order.voided_by)
        if isinstance(to, OrderState):
            to = self._card_verdict(kind, payment, event) or to
        if isinstance(to, Verdict):
            if to is Verdict.BREAK:
                self._against(piece, payment, event)
            return to
        moved = self._change_order(piece, order, to, event, payment=payment, reason=reason)
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

    def _verdict(self, payment: Payment, event: OrderEvent) -> Verdict | None:
        """None where the payment's table has an edge. A REVERSE that is still READY is given up for a PAID."""
        state, told = State(payment.state), PAY_EVENTS[event]
        if told is Event.PAID and state is State.REVERSING:
            undo = next(o for o in self._orders(payment) if o.kind == OrderKind.REVERSE and o.state in UNDECIDED)
            if undo.state != OrderState.READY:
                return Verdict.WAIT
            self._end_unsent(undo, payment, Reason.GIVEN_UP, OrderEvent.GIVE_UP)
            return None
        move = advance(state, told)
        return move if isinstance(move, Verdict) else None

    @staticmethod
    def _card_verdict(kind: OrderKind, payment: Payment, event: OrderEvent) -> Verdict | None:
        """A card's write speaks against a cancel that ended, and waits for one that has not."""
        if kind is not OrderKind.WRITE_CONFIRM or event not in _CARD_EVENTS:
            return None
        move = advance(State(payment.state), _CARD_EVENTS[event])
        return move if move in (Verdict.WAIT, Verdict.BREAK) else None  # type: ignore[return-value]

    def _change_order(
        self,
        piece: Piece,
        order: Order,
        to: OrderState,
        event: OrderEvent,
        *,
        payment: Payment,
        reason: str | None,
    ) -> Order:
        now, answer = self._mover.now, piece.answer
        facts = self._mover.env.facts_of(payment.service)
        if to in (OrderState.DONE, OrderState.REFUSED, OrderState.VOID):
            return self._mover.end_order(order, to, piece.facts(reason))
        if to is OrderState.READY:
            return self._mover.order(order, state=to, next_try_at=now + max(answer.retry_after_s, 1) * 1000)
        told = {
            "biller_serial": answer.biller_serial or order.biller_serial,
            "resp_code": answer.resp_code or order.resp_code,
        }
        if event is OrderEvent.ACCEPTED and to is OrderState.SENT:
            ask_after = answer.ask_after_s or facts.ask_after_s or 60
            due = order.result_due_at or now + (facts.result_due_s or 86400) * 1000
            return self._mover.order(order, state=to, ask_at=now + ask_after * 1000, result_due_at=due, **told)
        first = order.state != OrderState.UNKNOWN
        asks = 0 if first else order.asks
        ask_at = None if first else order.ask_at
        if ask_at is None or ask_at <= now:
            ask_at = now + next_question_ms(asks, facts.query_min_interval_s)
        return self._mover.order(order, state=to, rung=max(order.rung, 1), asks=asks, ask_at=ask_at, **told)

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
        }.get(event) or PAY_EVENTS[event]

    def after_ruling(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """The biller's word about an order that two people have ruled: it is kept, and compared with the ruling."""
        kind, answer, now = OrderKind(order.kind), piece.answer, self._mover.now
        absent = absent_is_final(order, facts, now, piece.asked_at)
        never = absent_is_final(self._primary(payment), facts, now, piece.asked_at)
        says = says_paid(kind, answer.kind, absent=absent, never=never)
        verdict = self._weigh(piece, order, payment, says)
        self._write(piece, order, payment, _TOLD.get(answer.kind, answer.kind.upper()), verdict)
        return verdict

    def _weigh(self, piece: Piece, order: Order, payment: Payment, says: bool | None) -> Verdict:
        """says: whether by this evidence the biller keeps the money."""
        answer, ruled = piece.answer, ruled_paid(order, self._orders(payment))
        named = OrderKind(order.kind) in PAYING and says is True and answer.paid_fen > 0
        unlike = bool(answer.biller_serial and order.biller_serial and answer.biller_serial != order.biller_serial)
        if says is None or (says is ruled and not (named and (unlike or answer.paid_fen != payment.paid_fen))):
            if named and answer.biller_serial and not order.biller_serial:
                self.compare_repeat(piece, order, payment)
            return Verdict.KEEP
        detail = f"{answer.kind or 'evidence'} by {piece.source} against the ruling {order.ruling}: "
        detail += f"paid {answer.paid_fen} fen as {answer.biller_serial or '?'}" if says else "not paid"
        amount = answer.paid_fen or payment.amount_fen
        self._mover.break_(payment, CONTRADICTED, detail, piece.evidence_id, amount, ruling=order.ruling)
        return Verdict.BREAK

    def _against(self, piece: Piece, payment: Payment, event: OrderEvent | Event) -> None:
        code = {"PAID": "STATUS_DIFF_SHORT", "ACCEPTED": "STATUS_DIFF_SHORT"}.get(event.upper(), "STATUS_DIFF_OVER")
        detail = f"{event} by {piece.source} against {payment.state}"
        self._mover.break_(payment, code, detail, piece.evidence_id, payment.amount_fen)

    def _judge_waiting(self, payment: Payment) -> None:
        """Evidence that waited for an undo is judged when that order has ended, however it did.

        A REVERSE that is READY again, proven unsent, is given up for a PAID that waited: it must not be sent.
        """
        waiting = self._waiting(payment)
        if not waiting:
            return
        if self._book.need(Payment, payment.gateway_serial).state in (State.REVERSING, State.CANCELLING):
            undo = next(o for o in self._orders(payment) if OrderKind(o.kind) in UNDOING and o.state in UNDECIDED)
            unsent = (undo.kind, undo.state) == (OrderKind.REVERSE, OrderState.READY)
            if not unsent or not any(row.event == Event.PAID for row in waiting):
                return
        # Proof of payment first: the others then meet the state it leads to.
        for row in sorted(waiting, key=lambda e: (e.event != Event.PAID, e.created_at, e.evidence_id)):
            self._book.put(replace(row, waiting=False))
            self._judge_again(row, self._book.need(Payment, payment.gateway_serial))

    def _judge_again(self, row: EvidenceRow, payment: Payment) -> None:
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
                reason=row.cause or "",
            ),
        )
        order = self._book.need(Order, row.order_serial)
        if order.ruling is not None:
            self._weigh(piece, order, payment, event_says_paid(row.event))
        elif row.event in _CARD_WAITED and OrderKind(order.kind) in PAYING:
            self._report_again(piece, order, payment, Event(row.event))
        elif row.event == Event.PAID and order.state == OrderState.DONE:
            self.compare_repeat(piece, order, payment)
        else:
            self._move(piece, order, payment, OrderEvent(row.event.lower()), row.cause)

    def _report_again(self, piece: Piece, primary: Order, payment: Payment, event: Event) -> None:
        """The terminal's word that waited for a cancel: an order born ended, or a break where the money went back."""
        move = advance(State(payment.state), event)
        if move is Verdict.BREAK:
            self._against(piece, payment, event)
        if isinstance(move, Verdict):
            return
        serial = self._mover.serials.mint()
        order = Order(
            order_serial=serial,
            gateway_serial=payment.gateway_serial,
            kind=OrderKind.WRITE_CONFIRM,
            state=_CARD_WAITED[event],
            biller=payment.biller,
            biller_account=payment.biller_account,
            partner_serial=serial,  # never sent
            original_serial=primary.order_serial,
            created_at=self._mover.now,
            send_before=self._mover.now,
            ended_at=self._mover.now,
        )
        self._book.add(order)
        self._mover.payment(payment, event, piece.facts(), order)

    def compare_repeat(self, piece: Piece, order: Order, payment: Payment) -> None:
        """A repeat of what is known changes nothing; another serial or amount under one order is a second charge."""
        answer = piece.answer
        unlike = bool(answer.biller_serial and order.biller_serial and answer.biller_serial != order.biller_serial)
        if unlike or answer.paid_fen != payment.paid_fen:
            detail = f"paid again as {answer.biller_serial}, {answer.paid_fen} fen, beside {order.biller_serial}"
            self._mover.break_(payment, "DUPLICATE", detail, piece.evidence_id, answer.paid_fen)
        elif answer.biller_serial and not order.biller_serial:
            self._mover.order(order, biller_serial=answer.biller_serial)
            named = replace(payment, biller_serial=answer.biller_serial, version=payment.version + 1)
            self._book.put(named)

    def _write(
        self,
        piece: Piece,
        order: Order,
        payment: Payment,
        event: str,
        effect: str,
        *,
        reason: str | None = None,
    ) -> None:
        answer = piece.answer
        self._book.add(
            EvidenceRow(
                evidence_id=piece.evidence_id,
                gateway_serial=payment.gateway_serial,
                order_serial=order.order_serial,
                record_id=piece.record_id,
                sent=piece.sent,
                source=piece.source,
                event=event,
                effect=effect,
                waiting=effect == Verdict.WAIT,
                biller_serial=answer.biller_serial or None,
                paid_fen=answer.paid_fen or None,
                biller_date=answer.biller_date,
                resp_code=answer.resp_code or None,
                cause=reason or answer.cause or answer.reason or None,
                created_at=self._mover.now,
            )
        )

    def _waiting(self, payment: Payment) -> list[EvidenceRow]:
        return [e for e in self._book.all(EvidenceRow) if e.waiting and e.gateway_serial == payment.gateway_serial]

    def _orders(self, payment: Payment) -> list[Order]:
        return [o for o in self._book.all(Order) if o.gateway_serial == payment.gateway_serial]

    def _primary(self, payment: Payment) -> Order:
        return next(o for o in self._orders(payment) if OrderKind(o.kind) in PAYING)
