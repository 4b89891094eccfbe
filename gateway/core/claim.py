"""Claim: the commit after which, and only then, a byte may leave (design s3.3, s3.5)."""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.manifest import FlowFacts
from contracts.serials import Serials
from contracts.states import Event, OrderEvent, OrderKind, OrderState, State
from gateway.core.book import Book
from gateway.core.controls import read_controls, refuse_claim
from gateway.core.env import Env, closed_for_s
from gateway.core.items import Claim, Granted, NotNow, Reply
from gateway.core.pieces import UNDOING
from gateway.core.restoring import is_restoring, read_restoring
from gateway.core.rows import Allowance, Attempt, Order, Payment, QueryToken
from gateway.core.states import advance, advance_order
from gateway.core.steps import Now, Read, Work

TURN_RETRY_MS = 500


def claim(items: Sequence[Claim], env: Env) -> Work[list[Reply]]:
    """Decide a batch of claims. Replies: Granted or NotNow, in order."""
    book = Book()
    now: int = yield Now()
    serials = sorted({(item.gateway_serial,) for item in items})
    book.load((yield Read("payments_locked", serials)))
    book.load((yield Read("orders_of", serials)))
    places = sorted({(payment.biller, payment.biller_account) for payment in book.all(Payment)})
    if places:
        book.load((yield Read("orders_in_turn", places)))
    tokens = sorted({(payment.query_token,) for payment in book.all(Payment) if payment.query_token})
    if tokens:
        book.load((yield Read("query_tokens", tokens)))
    yield from _read_allowances(items, book)
    yield from read_restoring(book)
    yield from read_controls({payment.biller for payment in book.all(Payment)}, book)
    replies = [_decide(item, book, now, env) for item in items]
    yield book.write()
    return replies


def _read_allowances(items: Sequence[Claim], book: Book) -> Work[None]:
    """Held until the commit: whoever deals on what a dead process held waits for its last claims, and counts them."""
    held = set()
    for item in items:
        payment = book.get(Payment, item.gateway_serial)
        if item.share is not None and payment is not None:
            held.add((payment.biller, item.share, item.worker))
    if held:
        book.load((yield Read("allowances_held", sorted(held))))


def _decide(item: Claim, book: Book, now: int, env: Env) -> Reply:
    order = book.get(Order, item.order_serial)
    payment = book.get(Payment, item.gateway_serial)
    if order is None or payment is None or order.gateway_serial != payment.gateway_serial:
        return NotNow(gone=True, cause="no such order")
    if is_restoring(book):
        return NotNow(gone=False, cause="the book is closed", retry_at=now + TURN_RETRY_MS)
    facts = env.facts_of(payment.service)
    refused = _repeat_gate(order, facts, now) if item.repeat else _first_gate(order, now)
    refused = refused or refuse_claim(payment.biller, book, now)
    refused = refused or _closed_gate(now, facts, env) or _turn_gate(order, book, now)
    refused = refused or _allowance_gate(item, payment, book, now)
    return refused or _grant(item, order, payment, book, now=now, env=env)


def _first_gate(order: Order, now: int) -> NotNow | None:
    if order.state != OrderState.READY or order.hold:
        return NotNow(gone=True, cause="held" if order.hold else f"order is {order.state}")
    if now > order.send_before:
        return NotNow(gone=True, cause="expired")
    if order.next_try_at is not None and order.next_try_at > now:
        return NotNow(gone=False, cause="not before", retry_at=order.next_try_at)
    return None


def may_repeat(order: Order, facts: FlowFacts, now: int) -> bool:
    """Only an undo in doubt may be sent again, and only where the biller's document says that it is safe (M4).

    Past its window it is asked about instead: the original and its undoing would fall into two windows.
    """
    safe = {
        OrderKind.REVERSE: facts.reverse_repeat_safe,
        OrderKind.CANCEL: facts.cancel_repeat_safe,
    }.get(OrderKind(order.kind), False)
    return safe and order.state == OrderState.UNKNOWN and not order.in_flight and now <= order.send_before


def _repeat_gate(order: Order, facts: FlowFacts, now: int) -> NotNow | None:
    return None if may_repeat(order, facts, now) else NotNow(gone=True, cause="not to be repeated")


def _closed_gate(now: int, facts: FlowFacts, env: Env) -> NotNow | None:
    seconds = closed_for_s(now, env.zone, facts.closed_local)
    return NotNow(gone=False, cause="closed", retry_at=now + seconds * 1000) if seconds else None


def _allowance_gate(item: Claim, payment: Payment, book: Book, now: int) -> NotNow | None:
    """A process that stood still for long has lost its part of the biller to others, whatever it believes."""
    if item.share is None:
        return None
    held = book.get(Allowance, payment.biller, item.share, item.worker)
    if held is None or not held.concurrency or held.expires_at <= now:
        return NotNow(gone=False, cause="allowance", retry_at=now + TURN_RETRY_MS)
    return None


def _turn_gate(order: Order, book: Book, now: int) -> NotNow | None:
    """In order of acceptance, one call in flight per biller account. A unique index holds the second half."""
    for other in book.all(Order):
        if (other.biller, other.biller_account) != (order.biller, order.biller_account):
            continue
        if other.order_serial == order.order_serial:
            continue
        earlier = (other.created_at, other.order_serial) < (order.created_at, order.order_serial)
        waiting = other.state == OrderState.READY and not other.hold and other.send_before >= now
        if other.in_flight or (earlier and waiting):
            return NotNow(gone=False, cause="turn", retry_at=now + TURN_RETRY_MS)
    return None


def _grant(item: Claim, order: Order, payment: Payment, book: Book, *, now: int, env: Env) -> Granted:
    facts = env.facts_of(payment.service)
    send_by, call_deadline = now + env.send_window_ms, now + facts.call_deadline_s * 1000
    state = OrderState(order.state)
    if not item.repeat:
        moved = advance_order(OrderKind(order.kind), state, OrderEvent.CLAIM)
        state = OrderState(moved)
    order = replace(
        order,
        state=state,
        version=order.version + 1,
        in_flight=True,
        attempts=order.attempts + 1,
        send_by=send_by,
        call_deadline=call_deadline,
        ask_at=order.ask_at if item.repeat else None,
    )
    book.put(order)
    if OrderKind(order.kind) not in UNDOING and order.kind != OrderKind.WRITE_CONFIRM:
        to = advance(State(payment.state), Event.SEND)
        payment = replace(payment, state=State(to), version=payment.version + 1)
        book.put(payment)
    attempt = Attempt(
        attempt_id=Serials(now, env.zone, item.entropy).mint(),
        order_serial=order.order_serial,
        attempt=order.attempts,
        worker=item.worker,
        claimed_at=now,
        send_by=send_by,
        call_deadline=call_deadline,
    )
    book.add(attempt)
    token = book.get(QueryToken, payment.query_token) if payment.query_token else None
    return Granted(
        attempt_id=attempt.attempt_id,
        attempt=attempt.attempt,
        order=order,
        payment=payment,
        original=book.get(Order, order.original_serial) if order.original_serial else None,
        bill_echo=(token.echo or "{}") if token else "{}",
        now=now,
        send_by=send_by,
        call_deadline=call_deadline,
    )
