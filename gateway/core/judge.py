"""Judging one piece of evidence: which event it is (M4, M5, M6); `effects` then runs it through the tables.

A result of a call counts as NotSent or LOST only for the current attempt; Paid counts from any.
"""

from contracts.manifest import FlowFacts
from contracts.outcomes import Reason
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.effects import Effects
from gateway.core.moves import Facts
from gateway.core.pieces import PAYING, UNDECIDED, UNDOING, Piece, absent_is_final, result_is_overdue
from gateway.core.rows import Order, Payment
from gateway.core.ruled import own_undo

__all__ = ["PAYING", "UNDECIDED", "Judging", "Piece", "absent_is_final"]


class Judging(Effects):
    """Judges evidence against one book. Returns the effect as text, kept with the evidence."""

    def judge(self, piece: Piece, order: Order, payment: Payment) -> str:
        """Let one answer work on an order. The caller has written the attempt's end already."""
        facts = self._mover.env.facts_of(payment.service)
        if piece.answer.alarm:
            self._mover.alarm("answer.contradicts", payment, piece.answer.cause)
        if order.ruling is not None and not (piece.answer.kind == "Undone" and self._is_undone_by_us(order, payment)):
            return self.after_ruling(piece, order, payment, facts)
        if OrderKind(order.kind) in PAYING:
            effect = self._paying(piece, order, payment, facts)
        else:
            effect = self._undoing(piece, order, payment, facts)
        return effect

    def _is_undone_by_us(self, order: Order, payment: Payment) -> bool:
        """A cancel of ours after the ruling: what it did to the paying order is its own end, not a contradiction."""
        return OrderKind(order.kind) in PAYING and own_undo(self._orders(payment))

    def _paying(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        answer, now = piece.answer, self._mover.now
        overdue = result_is_overdue(order, now)
        match answer.kind:
            case "Paid":
                return self._paid(piece, order, payment, facts)
            case "Declined":
                return self.apply(piece, order, payment, OrderEvent.DECLINED)
            case "Accepted":
                return self.apply(piece, order, payment, OrderEvent.ACCEPTED)
            case "NotSent" if piece.current and piece.source == "reply":
                return self.apply(piece, order, payment, OrderEvent.NOT_SENT)
            case "Absent" if absent_is_final(order, facts, now, piece.asked_at) and not overdue:
                return self.apply(piece, order, payment, OrderEvent.ABSENT_FINAL, reason=Reason.ABSENT)
            case "Undone":
                return self._undone(piece, order, payment)
            case "Pending" if piece.source != "reply" and not overdue:
                return self.keep(piece, order, payment, "PENDING")
            case _ if self._is_lost(piece, order):
                return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.keep(piece, order, payment, "LOST")

    def _is_lost(self, piece: Piece, order: Order) -> bool:
        """An accepted order (SENT) is lost by its own call or when its result is overdue, not by a vague question."""
        if piece.source in ("reply", "clock"):
            return piece.current
        return order.state != OrderState.SENT or result_is_overdue(order, self._mover.now)

    def _paid(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        answer, booked = piece.answer, self._mover
        if order.state == OrderState.DONE:
            self.compare_repeat(piece, order, payment)
            return self.keep(piece, order, payment, "PAID")
        if answer.paid_fen == payment.amount_fen:
            return self.apply(piece, order, payment, OrderEvent.PAID)
        partial = facts.partial and 0 < answer.paid_fen < payment.amount_fen
        if partial and piece.source != "reply":
            return self.apply(piece, order, payment, OrderEvent.PAID)
        detail = f"the biller says {answer.paid_fen} fen were paid, {payment.amount_fen} fen were ordered"
        if partial:
            # A call's own answer that differs from its request is asked about first (design s5).
            booked.alarm("answer.contradicts", payment, detail)
        else:
            over_fen = answer.paid_fen - payment.amount_fen
            booked.break_(payment, "AMOUNT_DIFF", detail, piece.evidence_id, over_fen)
        # The biller holds something under this serial: what we thought unsent must not be sent now.
        held = OrderEvent.ACCEPTED if order.state == OrderState.READY else OrderEvent.LOST
        return self.apply(piece, order, payment, held)

    def _undone(self, piece: Piece, order: Order, payment: Payment) -> str:
        """The original is undone: the end of our own open undo, else a break for two people (design s5)."""
        undos = [o for o in self._orders(payment) if o.kind in (OrderKind.REVERSE, OrderKind.CANCEL)]
        undo = next((o for o in undos if o.state in UNDECIDED), None)
        if undo is not None and (undo.attempts > 0 or undo.state == OrderState.UNKNOWN):
            return self._undoing(piece, undo, payment, self._mover.env.facts_of(payment.service))
        if any(o.state == OrderState.DONE for o in undos):
            return self.keep(piece, order, payment, "REVERSED")
        detail = "the biller says that the payment is undone, without an order of ours"
        self._mover.break_(payment, "UNDONE_BY_BILLER", detail, piece.evidence_id, payment.amount_fen)
        if piece.source == "reply" and piece.current:
            return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.keep(piece, order, payment, "REVERSED")

    def _undoing(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """Answers about a REVERSE or CANCEL (M8) or a WRITE_CONFIRM."""
        answer, now, reverse = piece.answer, self._mover.now, order.kind == OrderKind.REVERSE
        undo = OrderKind(order.kind) in UNDOING  # of a card's confirmation these three would say nothing
        match answer.kind:
            case "Undone" if undo:
                return self.apply(piece, order, payment, OrderEvent.REVERSED if reverse else OrderEvent.CANCELLED)
            case "Paid" if order.kind == OrderKind.WRITE_CONFIRM:
                return self.apply(piece, order, payment, OrderEvent.WROTE)
            case "StillPaid" if undo:
                return self._still_paid(piece, order, payment, facts)
            case "NeverPaid" if undo:
                return self._never_paid(piece, order, payment, facts)
            case "NotUndone" | "Declined":
                return self.apply(piece, order, payment, OrderEvent.REFUSED)
            case "NotSent" if piece.current and piece.source == "reply":
                return self.apply(piece, order, payment, OrderEvent.NOT_SENT)
            case "Absent" if absent_is_final(order, facts, now, piece.asked_at):
                return self.apply(piece, order, payment, OrderEvent.ABSENT_FINAL, reason=Reason.ABSENT)
            case _ if self._is_lost(piece, order):
                return self.apply(piece, order, payment, OrderEvent.LOST)
        return self.keep(piece, order, payment, "LOST")

    def _still_paid(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """A refused undo that proves the payment booked: for a REVERSE, PAY ends as DONE in the same commit.

        How much was booked is known where the biller books all or nothing, or where a proof waits; else it is asked.
        """
        ending = order.kind == OrderKind.REVERSE and order.state in UNDECIDED and payment.state == State.REVERSING
        proof = self._proof(piece, payment, facts) if ending else None
        if proof is None:
            return self.apply(piece, order, payment, OrderEvent.REFUSED)
        ended = self._mover.end_order(order, OrderState.REFUSED, piece.facts(reason=piece.answer.reason))
        primary = self._mover.end_order(self._primary(payment), OrderState.DONE, proof)
        moved = self._mover.payment(payment, Event.PAID, proof, primary)
        effect = f"{payment.state}->{moved.state}"
        self._write(piece, ended, payment, "STILL_PAID", effect)
        self._judge_waiting(payment)
        return effect

    def _proof(self, piece: Piece, payment: Payment, facts: FlowFacts) -> Facts | None:
        paid = [row for row in self._waiting(payment) if row.event == Event.PAID]
        known = min(paid, key=lambda row: (row.created_at, row.evidence_id), default=None)
        if known is None and facts.partial:
            return None
        return Facts(
            source=piece.source,
            cause_id=piece.evidence_id,
            biller_serial=known.biller_serial if known else self._primary(payment).biller_serial,
            paid_fen=known.paid_fen if known else payment.amount_fen,
            biller_date=known.biller_date if known else None,
            resp_code=piece.answer.resp_code or None,
        )

    def _never_paid(self, piece: Piece, order: Order, payment: Payment, facts: FlowFacts) -> str:
        """ "Original not found" counts only between the ages of M6, and then says something about PAY."""
        primary = self._primary(payment)
        if not absent_is_final(primary, facts, self._mover.now, piece.asked_at):
            return (
                self.apply(piece, order, payment, OrderEvent.LOST)
                if piece.current
                else self.keep(piece, order, payment, "NEVER_PAID")
            )
        effect = self.apply(piece, order, payment, OrderEvent.REFUSED)
        payment = self._book.need(Payment, payment.gateway_serial)
        primary = self._primary(payment)
        if payment.state == State.UNKNOWN and primary.state == OrderState.UNKNOWN:
            absent = self._move(piece, primary, payment, OrderEvent.ABSENT_FINAL, Reason.ABSENT)
            return f"{effect}, {absent}"
        if primary.ruling is not None:
            self._weigh(piece, primary, payment, says=False)
        elif primary.state == OrderState.DONE:
            detail = "the biller has no payment to undo, our book has it as paid"
            self._mover.break_(payment, "STATUS_DIFF_OVER", detail, piece.evidence_id, payment.amount_fen)
        return effect
