"""Outcome: evidence from calls, questions, notices and clocks, judged in batches (design s3.4, s3.5)."""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.serials import Serials
from contracts.states import OrderState
from gateway.core.admit import make_record
from gateway.core.book import Book
from gateway.core.days import open_day
from gateway.core.env import Env
from gateway.core.items import Judge, Judged, Reply
from gateway.core.judge import Judging, Piece
from gateway.core.moves import Mover, next_question_ms
from gateway.core.rows import Alarm, Attempt, EvidenceRow, Order, Payment, Transaction
from gateway.core.steps import Now, Read, Work

LOST = "Lost"
"""Outcome of an attempt whose call nobody answered for: written by recovery, overruled by a late answer."""
PARTNER_REQUEST = "partner-request"
"""Kind of a record: the bytes of a call or question as they left us, in the commit of what came of it."""
PARTNER_ANSWER = "partner-answer"
"""Kind of a record: the bytes we answer a notice with, in the commit that lets us."""
UNKNOWN_ORDER = "evidence.of.unknown.order"
"""Alarm: somebody spoke of an order that the book does not have."""


def judge(items: Sequence[Judge], env: Env) -> Work[list[Reply]]:
    """Judge a batch of evidence. Replies: Judged, in order; known is False where it names no order of ours."""
    now: int = yield Now()
    named = yield from name_orders(items)
    book = Book()
    day = yield from open_day(now, env)
    yield from read_payments({serial for serial, _ in named.values()}, book, env)
    attempts = sorted({(item.attempt_id,) for item in items if item.attempt_id})
    if attempts:
        book.load((yield Read("attempts", attempts)))
    # What no attempt names is known again by its own id: a redo after a lost commit writes nothing twice.
    told = sorted({(named[index][0],) for index, item in enumerate(items) if index in named and not item.attempt_id})
    if told:
        book.load((yield Read("evidence_of", told)))
    replies: list[Reply] = []
    for index, item in enumerate(items):
        serials = Serials(now, env.zone, item.entropy)
        payment, order = _named(named.get(index), book)
        if payment is None or order is None:
            replies.append(_unknown(item, book, serials, now))
        else:
            replies.append(_judge_one(item, order, payment, Mover(book, env, now, day, serials)))
    yield book.write()
    return replies


def name_orders(items: Sequence[Judge]) -> Work[dict[int, tuple[str, str]]]:
    """Per item index (gateway_serial, order_serial); items that name no order of ours are left out."""
    by_partner = sorted({(i.biller, i.partner_serial) for i in items if i.partner_serial and not i.order_serial})
    found: list[Order] = (yield Read("orders_by_partner_serial", by_partner)) if by_partner else []
    known = {(order.biller, order.partner_serial): order for order in found}
    named: dict[int, tuple[str, str]] = {}
    for index, item in enumerate(items):
        if item.gateway_serial and item.order_serial:
            named[index] = (item.gateway_serial, item.order_serial)
        elif item.biller and item.partner_serial and (item.biller, item.partner_serial) in known:
            order = known[item.biller, item.partner_serial]
            named[index] = (order.gateway_serial, order.order_serial)
    return named


def read_payments(gateway_serials: set[str], book: Book, env: Env) -> Work[None]:
    """Lock the stations' balances, then the payments; then read what their moves need."""
    serials = sorted((serial,) for serial in gateway_serials)
    if not serials:
        return
    plain: list[Payment] = yield Read("payments", serials)
    stations = sorted({(payment.institution_code,) for payment in plain})
    if not stations:
        return
    book.load((yield Read("balances_locked", stations)))
    locked: list[Payment] = yield Read("payments_locked", serials)
    book.load(locked)
    book.load((yield Read("orders_of", serials)))
    book.load((yield Read("commission_plans", sorted({(payment.service,) for payment in locked}))))
    undone = sorted((p.gateway_serial,) for p in locked if p.state in ("CANCELLING", "REVERSING"))
    if undone:
        book.load((yield Read("evidence_waiting", undone)))
        book.load((yield Read("tariffs", sorted({(payment.service,) for payment in locked}))))
        transactions: list[Transaction] = yield Read("transactions_of", undone)
        book.load(transactions)
        book.load((yield Read("postings", sorted((txn.txn_id,) for txn in transactions))))
    asked = {order.gateway_serial for order in book.all(Order) if order.state == OrderState.SENT and order.ask_at}
    if asked or any(p.state not in ("RESERVED", "SENT") for p in locked):
        book.load((yield Read("breaks_of", serials)))


def _named(place: tuple[str, str] | None, book: Book) -> tuple[Payment | None, Order | None]:
    """The payment and its order, or nothing where the book does not hold both (a restored book may not)."""
    if place is None:
        return None, None
    payment, order = book.get(Payment, place[0]), book.get(Order, place[1])
    if order is not None and order.gateway_serial != place[0]:
        return None, None
    return payment, order


def _judge_one(item: Judge, order: Order, payment: Payment, mover: Mover) -> Judged:
    book, gateway_serial, order_serial = mover.book, payment.gateway_serial, order.order_serial
    attempt = book.get(Attempt, item.attempt_id) if item.attempt_id else None
    # Minted from a moment that does not change, so that the same item has the same id whenever it comes.
    evidence_id = Serials(order.created_at, mover.env.zone, item.entropy).mint()
    known = attempt is not None and attempt.outcome is not None and not _late(attempt, item)
    if known or book.get(EvidenceRow, evidence_id) is not None:
        return Judged(known=True, effect="redone", payment=payment, again=_again(order))
    # A call's answer counts as the newest attempt's only where the book knows that attempt.
    named = bool(item.attempt_id) or item.source == "reply"
    current = not named or (attempt is not None and attempt.attempt == order.attempts)
    if attempt is not None:
        order = _end_attempt(item, attempt, order, mover, current=current)
    record_id, sent = _keep_bytes(item, book, mover.serials, mover.now, gateway_serial)
    piece = Piece(
        evidence_id=evidence_id,
        source=item.source,
        answer=item.answer,
        record_id=record_id,
        sent=sent,
        current=current,
        asked_at=attempt.claimed_at if attempt is not None else item.asked_at,
    )
    judging = Judging(mover)
    if not _speaks_of(item, payment):
        mover.alarm("notice.contradicts", payment, f"{item.source} names another account or amount")
        effect = judging.keep(piece, order, payment, "CONTRADICTS")
    else:
        effect = judging.judge(piece, order, payment)
    after = book.need(Payment, gateway_serial)
    return Judged(known=True, effect=effect, payment=after, again=_again(book.need(Order, order_serial)))


def _again(order: Order) -> Order | None:
    return order if order.state == OrderState.READY and not order.hold else None


def _late(attempt: Attempt, item: Judge) -> bool:
    """A worker that came back after recovery had called its attempt lost: its answer is evidence like any other."""
    return attempt.outcome == LOST and item.source == "reply"


def _speaks_of(item: Judge, payment: Payment) -> bool:
    """A notice names its account and amount; they must be the payment's (M7)."""
    if item.biller_account is not None and item.biller_account != payment.biller_account:
        return False
    return item.amount_fen is None or item.amount_fen == payment.amount_fen


def _end_attempt(item: Judge, attempt: Attempt, order: Order, mover: Mover, *, current: bool) -> Order:
    answer, book, now = item.answer, mover.book, mover.now
    book.put(
        replace(
            attempt,
            ended_at=now,
            outcome=answer.kind if item.source == "reply" else LOST,
            resp_code=answer.resp_code or None,
            cause=answer.cause or None,
        )
    )
    if current and order.in_flight:
        order = replace(order, in_flight=False, call_deadline=None, version=order.version + 1)
        if order.state == OrderState.UNKNOWN:
            # Whatever this answer says: what is in doubt has a next question.
            order = replace(order, ask_at=order.ask_at or now + next_question_ms(order.asks, 1))
        book.put(order)
    return order


def _keep_bytes(
    item: Judge, book: Book, serials: Serials, now: int, gateway_serial: str | None
) -> tuple[str | None, str | None]:
    """What left us and what came, under ids in the order in which that was: a question before its answer.

    Returns the record's id of what came, and those of what left; None where nothing did.
    """
    noticed = item.source == "notice"
    sent = [(PARTNER_ANSWER if noticed else PARTNER_REQUEST, body) for body in item.sent]
    came = [(item.source, item.answer.raw)] * bool(item.answer.raw)
    kept = came + sent if noticed else sent + came
    ids = sorted(serials.mint() for _ in kept)
    for record_id, (kind, body) in zip(ids, kept, strict=True):
        record = make_record(
            kind=kind,
            record_id=record_id,
            now=now,
            institution_code=None,
            gateway_serial=gateway_serial,
            body=body,
        )
        book.add(record)
    came_id = ids.pop(0 if noticed else -1) if came else None
    return came_id, " ".join(ids) or None


def _unknown(item: Judge, book: Book, serials: Serials, now: int) -> Judged:
    """Evidence that names no order of ours is kept too, with an alarm."""
    _keep_bytes(item, book, serials, now, None)
    book.add(
        Alarm(
            alarm_id=serials.mint(),
            kind=UNKNOWN_ORDER,
            biller=item.biller,
            gateway_serial=None,
            detail=f"{item.source} about {item.partner_serial or item.order_serial}",
            raised_at=now,
        )
    )
    return Judged(known=False)
