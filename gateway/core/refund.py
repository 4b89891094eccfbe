"""Refund 退费: a new transaction that waits for a second person's approval (M8, M12)."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from contracts.manifest import Can
from contracts.states import OrderKind, OrderState, State
from gateway.core.days import open_windows
from gateway.core.env import Env
from gateway.core.items import Refund, Refusal, Reply, Taken
from gateway.core.keys import taken
from gateway.core.rows import Order, Payment
from gateway.core.steps import Work
from gateway.core.targets import Targets, conflict, prepare

APPROVAL_MS = 30 * 86_400_000
"""A refund nobody approves in thirty days expires unsent."""


def refund(items: Sequence[Refund], env: Env) -> Work[list[Reply]]:
    """Decide a batch of refund requests. Replies: Taken (a new payment, RESERVED, holding nothing) or Refusal."""
    targets = yield from prepare(items, env)
    services = sorted({payment.service for payment in targets.book.all(Payment) if payment.service in env.billers})
    settle = yield from open_windows(services, targets.admission.now, env)
    replies: list[Reply] = []
    for item in items:
        reply = targets.known(item) or _decide(item, targets, settle)
        targets.keep_record(item)
        replies.append(reply)
    yield targets.book.write()
    return replies


def _decide(item: Refund, targets: Targets, settle: Mapping[str, str]) -> Taken | Refusal:
    book, mover = targets.book, targets.movers[item.arrival.arrival_id]
    original = book.need(Payment, item.gateway_serial)
    if original.kind != OrderKind.PAY or original.state not in (State.SUCCESS, State.WRITTEN):
        return targets.refuse(item, conflict(original, f"A payment in {original.state} cannot be refunded."))
    if Can.REFUND not in mover.env.manifests[original.biller].can:
        refusal = conflict(original, "The biller takes no refunds.", "该收费单位不支持退费，请联系邮政局")
        return targets.refuse(item, refusal)
    given = sum(
        payment.amount_fen
        for payment in book.all(Payment)
        if payment.cancels == original.gateway_serial and payment.state != State.FAILED
    )
    if item.amount_fen < 1 or given + item.amount_fen > (original.paid_fen or 0):
        detail = f"{original.paid_fen} fen were paid, {given} fen of it are refunded or about to be."
        return targets.refuse(item, Refusal(slug="amount-out-of-range", detail=detail, field="$.amount_fen"))
    serial = mover.serials.mint()
    digits = mover.env.manifests[original.biller].serial_digits
    made = replace(
        original,
        gateway_serial=serial,
        kind=OrderKind.REFUND,
        state=State.RESERVED,
        version=1,
        terminal_id=str(targets.admission.callers[item.arrival.arrival_id].terminal_id),
        operator_id=str(targets.admission.callers[item.arrival.arrival_id].operator_id),
        idempotency_key=item.key,
        amount_fen=item.amount_fen,
        fee_fen=0,
        paid_fen=None,
        account_date=mover.day,
        settle_date=settle[original.service],
        accepted_at=mover.now,
        send_before=mover.now + APPROVAL_MS,
        final_at=None,
        biller_serial=None,
        biller_date=None,
        resp_code=None,
        query_token=None,
        confirmed_repeat=False,
        cash_received_fen=None,
        cancels=original.gateway_serial,
        trace_id=item.arrival.trace_id,
    )
    order = Order(
        order_serial=serial,
        gateway_serial=serial,
        kind=OrderKind.REFUND,
        state=OrderState.READY,
        biller=original.biller,
        biller_account=original.biller_account,
        partner_serial=serial if digits is None else mover.number(original.biller, digits),
        original_serial=original.gateway_serial,
        created_at=mover.now,
        send_before=made.send_before,
        hold=True,
        note=item.reason,
    )
    book.add(made)
    book.add(order)
    book.put(replace(targets.held(item), gateway_serial=serial))
    return taken(made, book)
