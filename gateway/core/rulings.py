"""Rulings: two people say what became of a payment that nobody else could tell (M5, M12, ROLE-06).

A ruling is evidence like the biller's, of source `ruling`, and posts by the same code. It needs that the payment has
been in doubt for long (env.rule_after_s), or stands on the resolver's last rung; or that the biller has contradicted
what stands: an earlier ruling, or a success that it has undone by itself.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from contracts.outcomes import Reason
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.attachments import check_attachments
from gateway.core.days import open_day
from gateway.core.items import Answer, Refusal
from gateway.core.judge import Judging
from gateway.core.moves import IN_DOUBT, RULING, Facts, Mover
from gateway.core.outcome import read_payments
from gateway.core.pieces import UNDECIDED, UNDOING, Piece
from gateway.core.rows import Break, Order, Payment, Transaction
from gateway.core.ruled import CONTRADICTED
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.states import advance, advance_order
from gateway.core.steps import Read, Work

PAID, NOT_PAID = "paid", "not-paid"
LAST_RUNG = 4
UNDONE = "UNDONE_BY_BILLER"
REOPENS = frozenset({CONTRADICTED, UNDONE})
"""Open breaks that let two people rule although the payment is not in doubt."""
_PAID_STATES = frozenset({State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITE_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a ruling says: whether the biller keeps the money, how much of it, under which serial of its own."""

    paid: bool
    paid_fen: int | None
    biller_serial: str | None


def rule(scene: Scene) -> Work[Refusal | str]:
    """Rule. subject: gateway serial. fields: verdict (paid, not-paid), state (as it was read), paid_fen and
    biller_serial of a paid one where they differ from the order, attachments (of gateway.core.attachments).

    What the payment is afterwards is what its orders give: SUCCESS, FAILED, or CANCELLED.
    """
    told = _told(scene)
    if isinstance(told, Refusal):
        return told
    if (refused := (yield from check_attachments(scene))) is not None:
        return refused
    book, serial = scene.book, scene.deed.subject
    day = yield from open_day(scene.now, scene.env)
    yield from read_payments({serial}, book, scene.env)
    payment = book.get(Payment, serial)
    if payment is None:
        return missing(f"payment {serial} that is not archived")
    yield from _read_rest(payment, scene)
    refused = _gate(scene, payment, told)
    if refused is not None:
        return refused
    ruler = _Ruler(Mover(book, scene.env, scene.now, day, scene.serials), scene)
    return ruler.rule(told, payment)


def _told(scene: Scene) -> Told | Refusal:
    verdict, fen, serial = scene.field("verdict"), scene.field("paid_fen"), scene.field("biller_serial")
    if verdict not in (PAID, NOT_PAID):
        return malformed(f"{PAID} or {NOT_PAID}", "verdict")
    if fen and not (fen.isascii() and fen.isdigit() and len(fen) <= 13 and int(fen) > 0):
        return malformed("a number of fen above 0", "paid_fen")
    if serial and not (len(serial) <= 64 and serial.isascii() and serial.isprintable()):
        return malformed("1 to 64 printable ASCII characters", "biller_serial")
    if verdict == NOT_PAID and (fen or serial):
        return malformed("what was not paid has neither amount nor serial", "paid_fen" if fen else "biller_serial")
    return Told(paid=verdict == PAID, paid_fen=int(fen) if fen else None, biller_serial=serial or None)


def _read_rest(payment: Payment, scene: Scene) -> Work[None]:
    """What a cancel without an order at the biller posts against, and the breaks of every state."""
    serial, book = (payment.gateway_serial,), scene.book
    book.load((yield Read("breaks_of", [serial])))
    book.load((yield Read("refunds_of", [serial])))
    book.load((yield Read("tariffs", [(payment.service,)])))
    transactions: list[Transaction] = yield Read("transactions_of", [serial])
    book.load(transactions)
    if transactions:
        book.load((yield Read("postings", sorted((txn.txn_id,) for txn in transactions))))


def _gate(scene: Scene, payment: Payment, told: Told) -> Refusal | None:
    """Whether two people may rule this now. Asked when it is prepared, and again when it is approved."""
    seen, state = scene.field("state"), State(payment.state)
    if seen != state:
        return conflict(f"The payment is {state}; what was looked at before the ruling was {seen or 'nothing'}.")
    orders = [order for order in scene.book.all(Order) if order.gateway_serial == payment.gateway_serial]
    if any(order.in_flight for order in orders):
        return conflict("A call of this payment is running: its answer comes first.")
    if told.paid_fen is not None and told.paid_fen > payment.amount_fen:
        return malformed("more than was ordered is settled by an adjustment, not by a ruling", "paid_fen")
    if state in IN_DOUBT:
        return _gate_doubt(scene, payment, orders, told)
    return _gate_ended(scene, payment, orders, told)


def _gate_ended(scene: Scene, payment: Payment, orders: list[Order], told: Told) -> Refusal | None:
    """Ruled before, or undone by the biller itself: what stands is contradicted by an open break."""
    state, open_ = State(payment.state), {one.code for one in _breaks(scene, payment) if one.state == "OPEN"}
    if not open_ & REOPENS:
        return conflict(f"The payment is {state}, and no open break contradicts that.")
    if any(order.state in UNDECIDED for order in orders):
        return conflict("An order of this payment is not decided yet.")
    refunds = [one for one in scene.book.all(Payment) if one.cancels == payment.gateway_serial]
    if any(one.state != State.FAILED for one in refunds):
        return conflict("A refund of this payment is made or asked for: both would give the same money back.")
    if state is State.FAILED and told.paid and CONTRADICTED in open_:
        return None
    if state in _PAID_STATES and not told.paid and payment.kind == OrderKind.PAY:
        return None
    return conflict(f"What is {state} is put right by an adjustment of two people, not by this ruling.")


def _gate_doubt(scene: Scene, payment: Payment, orders: list[Order], told: Told) -> Refusal | None:
    undo = _undo_of(orders)
    if undo is not None and undo.state == OrderState.READY:
        return conflict("Its undo has not been sent yet: that comes first.")
    if payment.state == State.CANCELLING and (told.paid_fen or told.biller_serial):
        return malformed("how much was paid is known", "paid_fen" if told.paid_fen else "biller_serial")
    age_s = (scene.now - (payment.in_doubt_since or scene.now)) // 1000
    last = max((order.rung for order in orders if order.state in UNDECIDED), default=0) >= LAST_RUNG
    if age_s < scene.env.rule_after_s and not last:
        return conflict(f"In doubt for {age_s} s: people rule after {scene.env.rule_after_s} s, or on the last rung.")
    return None


def _undo_of(orders: list[Order]) -> Order | None:
    return next((one for one in orders if OrderKind(one.kind) in UNDOING and one.state in UNDECIDED), None)


def _breaks(scene: Scene, payment: Payment) -> list[Break]:
    return [one for one in scene.book.all(Break) if one.gateway_serial == payment.gateway_serial]


class _Ruler(Judging):
    """Applies one ruling to the book of the deed's commit."""

    def __init__(self, mover: Mover, scene: Scene) -> None:
        super().__init__(mover)
        self._scene = scene

    def rule(self, told: Told, payment: Payment) -> str:
        """The payment's state afterwards."""
        evidence_id = self._mover.serials.mint()
        if told.paid:
            paid_fen = told.paid_fen or payment.paid_fen or payment.amount_fen
            answer = Answer(kind="Paid", paid_fen=paid_fen, biller_serial=told.biller_serial or "")
        else:
            answer = Answer(kind="Declined", reason=Reason.RULED)
        piece = Piece(evidence_id=evidence_id, source=RULING, answer=answer, record_id=self._scene.record_id)
        if payment.state == State.CANCELLING:
            moved = self._cancel(piece, payment, told)
        elif State(payment.state) in _PAID_STATES:
            moved = self._undone_by_biller(piece, payment)
        else:
            moved = self._pay(piece, payment, told)
        for one in _breaks(self._scene, moved):
            if (
                one.state == "OPEN"
                and one.code in REOPENS
                and one.evidence_id != evidence_id
                and not _fresh(one, piece)
            ):
                self._book.put(
                    replace(one, state="CLOSED", closed_at=self._mover.now, resolution=f"ruling {evidence_id}")
                )
        return moved.state

    def _pay(self, piece: Piece, payment: Payment, told: Told) -> Payment:
        """UNKNOWN, REVERSING, or FAILED by an earlier ruling: undo and paying order end in one commit."""
        orders = self._orders(payment)
        undo, primary = _undo_of(orders), self._primary(payment)
        if undo is not None:
            to = advance_order(OrderKind(undo.kind), OrderState(undo.state), OrderEvent.REFUSED)
            ended = Facts(source=RULING, cause_id=piece.evidence_id, reason=Reason.RULED)
            self._mover.end_order(undo, OrderState(to), ended)
        event = OrderEvent.PAID if told.paid else OrderEvent.DECLINED
        to = advance_order(OrderKind(primary.kind), OrderState(primary.state), event, voided_by=primary.voided_by)
        primary = self._mover.end_order(primary, OrderState(to), piece.facts())
        moved = self._mover.payment(payment, Event(event.upper()), piece.facts(), primary)
        self._write(piece, primary, payment, event.upper(), f"{payment.state}->{moved.state}")
        if payment.state == State.FAILED and moved.state != State.FAILED:
            self._mover.alarm("failed.was.paid", moved, "a payment we had as failed is ruled paid")
        self._judge_waiting(payment)
        return self._book.need(Payment, payment.gateway_serial)

    def _cancel(self, piece: Piece, payment: Payment, told: Told) -> Payment:
        """CANCELLING: the cancel did not happen, or it did; what waited meets the ruling (gateway.core.ruled)."""
        undo, primary = _undo_of(self._orders(payment)), self._primary(payment)
        assert undo is not None, "a payment that is CANCELLING has an open CANCEL"
        if told.paid:
            self._mover.order(primary, ruling=piece.evidence_id)
        event = OrderEvent.REFUSED if told.paid else OrderEvent.CANCELLED
        self.apply(piece, undo, payment, event, reason=Reason.RULED)
        return self._book.need(Payment, payment.gateway_serial)

    def _undone_by_biller(self, piece: Piece, payment: Payment) -> Payment:
        """Paid by our book, and the biller does not have it: a CANCEL born done gives the money back (worked s4.1)."""
        advance(State(payment.state), Event.CANCEL)
        serial, primary = self._mover.serials.mint(), self._primary(payment)
        order = Order(
            order_serial=serial,
            gateway_serial=payment.gateway_serial,
            kind=OrderKind.CANCEL,
            state=OrderState.DONE,
            biller=payment.biller,
            biller_account=payment.biller_account,
            partner_serial=serial,  # never sent
            original_serial=primary.order_serial,
            from_state=payment.state,
            created_at=self._mover.now,
            send_before=self._mover.now,
            reason=Reason.RULED,
            note="ruled",
            ended_at=self._mover.now,
            ruling=piece.evidence_id,
        )
        self._book.add(order)
        self._mover.order(primary, ruling=piece.evidence_id)
        facts = Facts(source=RULING, cause_id=piece.evidence_id)
        moved = self._mover.payment(payment, Event.CANCELLED, facts, order)
        self._write(piece, order, payment, Event.CANCELLED, f"{payment.state}->{moved.state}", reason=Reason.RULED)
        return moved


def _fresh(one: Break, piece: Piece) -> bool:
    """Opened in this very commit, by what had waited."""
    return one.ruling == piece.evidence_id
