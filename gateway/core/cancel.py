"""Cancel 撤销: a person takes back a payment of the same day, or gives up one that was not sent (M8)."""

from collections.abc import Sequence

from msgspec.structs import replace

from contracts.outcomes import Reason
from contracts.states import Event, OrderKind, State
from gateway.core.env import Env
from gateway.core.items import Cancel, Refusal, Reply, Taken
from gateway.core.judge import PAYING, UNDECIDED, Judging
from gateway.core.keys import taken
from gateway.core.moves import Facts, Mover
from gateway.core.prices import in_force
from gateway.core.resolve import make_undo, window_is_open
from gateway.core.rows import Authorization, Order, Payment, Tariff
from gateway.core.states import advance
from gateway.core.steps import Read, Work
from gateway.core.targets import Targets, conflict, prepare


def cancel(items: Sequence[Cancel], env: Env) -> Work[list[Reply]]:
    """Decide a batch of cancel requests. Replies: Taken (FAILED at once, or CANCELLING) or Refusal."""
    targets = yield from prepare(items, env)
    wanted = sorted({(item.authorization,) for item in items if item.authorization})
    if wanted:
        targets.book.load((yield Read("authorizations", wanted)))
    replies: list[Reply] = []
    for item in items:
        reply = targets.known(item) or _decide(item, targets)
        targets.keep_record(item)
        replies.append(reply)
    yield targets.book.write()
    return replies


def _decide(item: Cancel, targets: Targets) -> Taken | Refusal:
    book, mover = targets.book, targets.movers[item.arrival.arrival_id]
    payment = book.need(Payment, item.gateway_serial)
    orders = [order for order in book.all(Order) if order.gateway_serial == payment.gateway_serial]
    primary = next(order for order in orders if OrderKind(order.kind) in PAYING)
    state = State(payment.state)
    if state is State.RESERVED:
        Judging(mover).give_up(primary, payment, Reason.GIVEN_UP)
        return taken(book.need(Payment, payment.gateway_serial), book)
    refusal = _gate(payment, orders, mover) or _authorize(item, payment, targets)
    if refusal is not None:
        return targets.refuse(item, refusal)
    order = make_undo(OrderKind.CANCEL, primary, payment, mover, note=item.reason)
    advance(state, Event.CANCEL)
    moved = mover.payment(payment, Event.CANCEL, Facts(source="command", cause_id=order.order_serial), order)
    return taken(moved, book)


def _gate(payment: Payment, orders: list[Order], mover: Mover) -> Refusal | None:
    facts = mover.env.facts_of(payment.service)
    if payment.state not in (State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITE_FAILED) or payment.kind != OrderKind.PAY:
        return conflict(payment, f"A payment in {payment.state} cannot be cancelled.")
    if not facts.can_cancel:
        return conflict(payment, "The biller cannot cancel this service.", "该业务不支持撤销")
    if any(order.kind == OrderKind.WRITE_CONFIRM and order.state in UNDECIDED for order in orders):
        return conflict(payment, "The card write is being confirmed.")
    if any(p.cancels == payment.gateway_serial and p.state != State.FAILED for p in mover.book.all(Payment)):
        # Both would give the same money back.
        return conflict(payment, "A refund of this payment is made or asked for.", "该笔缴费已申请退费，不能撤销")
    if not window_is_open(payment, mover):
        return conflict(payment, "The payment's settlement window has closed.", "已过撤销时间，请按退费办理")
    return None


def _authorize(item: Cancel, payment: Payment, targets: Targets) -> Refusal | None:
    """Head office's one-off permission, where policy wants it; used up by this cancel (guarded update)."""
    tariffs = [t for t in targets.book.all(Tariff) if t.version == payment.tariff_version]
    tariff = in_force(tariffs, payment.service, payment.account_date)
    if tariff is None or not tariff.cancel_needs_authorization:
        return None
    given = targets.book.get(Authorization, item.authorization) if item.authorization else None
    fits = given is not None and (
        given.kind,
        given.institution_code,
        given.service,
        given.biller_account,
        given.amount_fen,
        given.valid_on,
        given.used_by,
        given.revoked_by,
    ) == (
        "cancel",
        payment.institution_code,
        payment.service,
        payment.biller_account,
        payment.amount_fen,
        targets.movers[item.arrival.arrival_id].day,
        None,
        None,
    )
    if given is None or not fits:
        return Refusal(slug="authorization-required", detail="Head office must authorise this cancel.")
    targets.book.put(replace(given, used_by=payment.gateway_serial))
    return None
