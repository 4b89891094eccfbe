"""The resolver's decisions: which questions are due, which rung comes next, what a clock may end (M5, M6).

Rung 1 asks the biller, rung 2 reverses (only where biller and policy allow), rung 3 waits for the partner's file,
rung 4 for a ruling by two people. Age raises the rung and the alarm; it never decides.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.manifest import Can, FlowFacts
from contracts.outcomes import Reason
from contracts.serials import Serials
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core import messages
from gateway.core.book import Book
from gateway.core.chores import refuse_moved
from gateway.core.claim import may_repeat
from gateway.core.days import open_day
from gateway.core.env import Env, settle_date
from gateway.core.items import Answer, Question, Questions, Reply, Sweep, Swept, TakeQuestions
from gateway.core.judge import PAYING, Judging, Piece
from gateway.core.moves import Facts, Mover, next_question_ms
from gateway.core.outcome import LOST, read_payments
from gateway.core.pieces import result_is_overdue
from gateway.core.prices import in_force
from gateway.core.rows import Attempt, Order, Payment, Tariff, Window
from gateway.core.states import advance
from gateway.core.steps import Now, Numbers, Read, Scan, Work

ALARM_AGES_S: tuple[int, ...] = (600, 7200, 86400, 3 * 86400)
"""Ages in doubt at which an alarm is raised, once each."""


def take_questions(items: Sequence[TakeQuestions], env: Env) -> Work[list[Reply]]:
    """Lease every due question: its next one is written first, so that no other process asks it meanwhile.

    Replies: Questions, or NotNow where the resolver's lease has moved on.
    """
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        if (refused := (yield from refuse_moved(item.under))) is not None:
            replies.append(refused)
            continue
        found: list[Order] = yield Scan("orders_to_ask", {"now": now, "limit": item.limit})
        due = _with_room([order for order in found if order.biller in env.manifests], item.room)
        book = Book()
        day = yield from open_day(now, env)
        yield from read_payments({order.gateway_serial for order in due}, book, env)
        payments = book.all(Payment)
        if payments:
            book.load((yield Read("tariffs", sorted({(payment.service,) for payment in payments}))))
            book.load((yield Read("windows_shared", sorted({(p.biller, p.settle_date) for p in payments}))))
        mover = Mover(book, env, now, day, Serials(now, env.zone, item.entropy))
        opening = [o for o in book.all(Order) if OrderKind(o.kind) in PAYING and _may_reverse(o, mover)]
        yield from draw_numbers([order.biller for order in opening], mover)
        reply = Questions(questions=[], opened=[], repeats=[])
        for stale in due:
            order = book.get(Order, stale.order_serial)
            if order is not None and order.version == stale.version:
                _take(order, item, mover, reply)
        replies.append(reply)
        yield book.write()
    return replies


def _with_room(due: list[Order], room: dict[str, int] | None) -> list[Order]:
    """The first of each biller, as many as it has room for."""
    if room is None:
        return due
    left, taken = dict(room), []
    for order in due:
        if left.get(order.biller, 0) > 0:
            left[order.biller] -= 1
            taken.append(order)
    return taken


def _take(order: Order, item: TakeQuestions, mover: Mover, reply: Questions) -> None:
    book, now = mover.book, mover.now
    payment = book.need(Payment, order.gateway_serial)
    facts, manifest = mover.env.facts_of(payment.service), mover.env.manifests[payment.biller]
    _alarm_by_age(payment, order, item, mover)
    if result_is_overdue(order, now):
        # No clock decides it: what was accepted and never decided is in doubt, and is asked about as such.
        _lost(order, payment, "no result by the biller's own time", mover)
        order, payment = book.need(Order, order.order_serial), book.need(Payment, payment.gateway_serial)
    if OrderKind(order.kind) in PAYING and _may_reverse(order, mover):
        reply.opened.append(_open_reverse(order, payment, _wait_ms(order.asks + 1, facts, item), mover))
        return
    wait = _wait_ms(order.asks + 1, facts, item)
    order = mover.order(order, asks=order.asks + 1, ask_at=now + wait, rung=_rung(order, payment, facts, now))
    if may_repeat(order, facts, now):
        reply.repeats.append(order)
    elif Can.QUERY_RESULT in manifest.can:
        original = book.get(Order, order.original_serial) if order.original_serial else None
        reply.questions.append(Question(order=order, payment=payment, original=original, asked_at=now))


def _rung(order: Order, payment: Payment, facts: FlowFacts, now: int) -> int:
    """1 while the biller may still know, 3 when only its file can, 4 when that was due days ago."""
    if payment.in_doubt_since is None:
        return order.rung
    void_s = facts.absent_void_after_s
    age_s = (now - payment.in_doubt_since) // 1000
    if void_s is None or age_s < void_s:
        return max(order.rung, 1)
    return 3 if age_s < void_s + 3 * 86400 else 4


def _wait_ms(asks: int, facts: FlowFacts, item: TakeQuestions) -> int:
    """From one question to the next, when `asks` were asked: never shorter than the lease."""
    return max(next_question_ms(asks, facts.query_min_interval_s), item.lease_ms)


def _alarm_by_age(payment: Payment, order: Order, item: TakeQuestions, mover: Mover) -> None:
    """Each age alarms once: at the first question at or after it, however late that one comes.

    A question is due a known time after the one before it, so the ages between the two are found without a memory.
    The payment's own question alarms; while it is being cancelled, that of the CANCEL.
    """
    since, facts = payment.in_doubt_since, mover.env.facts_of(payment.service)
    kinds = {OrderKind.CANCEL} if payment.state == State.CANCELLING else PAYING
    if since is None or OrderKind(order.kind) not in kinds or order.ask_at is None:
        return
    wait = _wait_ms(order.asks, facts, item) if order.asks else next_question_ms(0, facts.query_min_interval_s)
    for age_s in ALARM_AGES_S:
        if order.ask_at - wait < since + age_s * 1000 <= mover.now:
            mover.alarm("in-doubt.age", payment, f"in doubt for more than {age_s} s")


def _may_reverse(order: Order, mover: Mover) -> bool:
    """Rung 2: policy's age is reached, the biller reverses, its window is still the one the payment belongs to."""
    payment = mover.book.need(Payment, order.gateway_serial)
    facts = mover.env.facts_of(payment.service)
    tariffs = [t for t in mover.book.all(Tariff) if t.version == payment.tariff_version]
    tariff = in_force(tariffs, payment.service, payment.account_date)
    if not facts.can_reverse or tariff is None or not tariff.reverse_after_s:
        return False
    if payment.state != State.UNKNOWN or order.state != OrderState.UNKNOWN or payment.in_doubt_since is None:
        return False
    if any(o.kind == OrderKind.REVERSE and o.gateway_serial == payment.gateway_serial for o in mover.book.all(Order)):
        return False  # one automatic reversal; a refused one leaves the rest to questions, file and people
    return window_is_open(payment, mover) and mover.now - payment.in_doubt_since >= tariff.reverse_after_s * 1000


def window_is_open(payment: Payment, mover: Mover) -> bool:
    """Whether the payment's own window at the biller is OPEN in the book and not past by the biller's cut-off."""
    window = mover.book.get(Window, payment.biller, payment.settle_date)
    cut_off = mover.env.facts_of(payment.service).cut_off_local
    # Not equal: a payment taken after its day's window had closed early belongs to the next one.
    current = settle_date(mover.now, mover.env.zone, cut_off) <= payment.settle_date
    return current and window is not None and window.state == "OPEN"


def _open_reverse(primary: Order, payment: Payment, wait_ms: int, mover: Mover) -> Order:
    """Our own reversal (冲正): an order of its own; the PAY order stays UNKNOWN and no money moves."""
    advance(State(payment.state), Event.REVERSE)
    order = make_undo(OrderKind.REVERSE, primary, payment, mover, note="in doubt")
    mover.order(primary, rung=2, ask_at=mover.now + wait_ms, asks=primary.asks + 1)
    mover.payment(payment, Event.REVERSE, Facts(source="resolver", cause_id=order.order_serial), order)
    return order


def make_undo(kind: OrderKind, primary: Order, payment: Payment, mover: Mover, *, note: str) -> Order:
    """A READY order that undoes `primary`, with its message in the outbox. It may go until the biller's window ends."""
    serial = mover.serials.mint()
    digits = mover.env.manifests[payment.biller].serial_digits
    order = Order(
        order_serial=serial,
        gateway_serial=payment.gateway_serial,
        kind=kind,
        state=OrderState.READY,
        biller=payment.biller,
        biller_account=payment.biller_account,
        partner_serial=serial if digits is None else mover.number(payment.biller, digits),
        original_serial=primary.order_serial,
        from_state=payment.state,
        created_at=mover.now,
        send_before=_window_end(payment, mover),
        next_try_at=mover.now,
        note=note,
    )
    mover.book.add(order)
    mover.book.add(messages.request(order, payment, mover.serials.mint(), mover.now, mover.env))
    return order


def draw_numbers(billers: Sequence[str], mover: Mover) -> Work[None]:
    """Draw partner numbers for as many undo orders as may be opened in this commit, one for each name given."""
    for biller in sorted(set(billers)):
        if mover.env.manifests[biller].serial_digits:
            mover.numbers[biller] = yield Numbers(biller, mover.day, billers.count(biller))


def _window_end(payment: Payment, mover: Mover) -> int:
    """The last moment of the payment's own window at the biller, by its cut-off, in ms."""
    facts, low, high = mover.env.facts_of(payment.service), mover.now, mover.now + 2 * 86_400_000
    while high - low > 1000:
        middle = (low + high) // 2
        if settle_date(middle, mover.env.zone, facts.cut_off_local) <= payment.settle_date:
            low = middle
        else:
            high = middle
    return low


def sweep(items: Sequence[Sweep], env: Env) -> Work[list[Reply]]:
    """End RESERVED rows that are proven unsent and too old, mark calls past their deadline, list what waits."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        expired: list[Order] = yield Scan("orders_expired", {"now": now, "limit": item.limit})
        overdue: list[Order] = yield Scan("orders_overdue", {"now": now, "limit": item.limit})
        book, ended, lost = Book(), 0, 0
        if expired or overdue:
            day = yield from open_day(now, env)
            yield from read_payments({order.gateway_serial for order in [*expired, *overdue]}, book, env)
            serials = sorted((order.order_serial,) for order in overdue)
            book.load((yield Read("attempts_of", serials)) if serials else [])
            mover = Mover(book, env, now, day, Serials(now, env.zone, item.entropy))
            ended = sum(_expire(order, mover) for order in expired)
            lost = sum(_lose(order, mover) for order in overdue)
            yield book.write()
        place = {"after_at": item.after_at, "after_serial": item.after_serial}
        ready: list[Order] = yield Scan("orders_ready", {"now": now, "limit": item.limit, **place})
        replies.append(Swept(ready=ready, expired=ended, overdue=lost, now=now))
    return replies


def _expire(stale: Order, mover: Mover) -> bool:
    order = mover.book.get(Order, stale.order_serial)
    if order is None or order.version != stale.version or order.kind == OrderKind.WRITE_CONFIRM:
        return False
    payment = mover.book.need(Payment, order.gateway_serial)
    Judging(mover).give_up(order, payment, Reason.EXPIRED_UNSENT, OrderEvent.EXPIRED)
    return True


def _lose(stale: Order, mover: Mover) -> bool:
    """Nobody answered for this call and its deadline is past: in doubt, to be asked about."""
    book = mover.book
    order = book.get(Order, stale.order_serial)
    if order is None or order.version != stale.version:
        return False
    for attempt in book.all(Attempt):
        if (attempt.order_serial, attempt.attempt, attempt.outcome) == (order.order_serial, order.attempts, None):
            book.put(replace(attempt, ended_at=mover.now, outcome=LOST, cause="no answer by its deadline"))
    order = mover.order(order, in_flight=False, call_deadline=None)
    _lost(order, book.need(Payment, order.gateway_serial), "no answer by the call's deadline", mover)
    return True


def _lost(order: Order, payment: Payment, cause: str, mover: Mover) -> None:
    answer = Answer(kind="Unknown", cause=cause)
    piece = Piece(evidence_id=mover.serials.mint(), source="clock", answer=answer, record_id=None)
    Judging(mover).judge(piece, order, payment)
