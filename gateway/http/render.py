"""The book's rows as the terminal sees them (api s1)."""

from collections.abc import Callable

import msgspec

from contracts import api
from contracts.money import Fen
from contracts.outcomes import Reason
from contracts.states import FINAL, OrderKind, State
from gateway.core.env import rfc3339
from gateway.core.items import Taken
from gateway.core.moves import IN_DOUBT
from gateway.core.rows import Order, Payment, Posting, Transaction
from gateway.core.views import AccountView
from gateway.http import texts

ShopText = Callable[[str, str, str], str | None]
_params = msgspec.json.Decoder(dict[str, str])
_REASONS = {reason.value: text for reason, text in texts.REASON_TEXTS.items()}
_RULED = {State.SUCCESS: texts.RULED_PAID, State.CANCELLED: texts.RULED_CANCELLED}
_NOT_CANCELLED = {reason.value: text for reason, text in texts.NOT_CANCELLED_REASONS.items()}


def is_final(payment: Payment) -> bool:
    """Whether the payment is answered with 201."""
    return State(payment.state) in FINAL


def payment(taken: Taken, shop_text: ShopText, undo_text: ShopText) -> api.Payment:
    """A payment with what is open about it, and where it stayed paid although it should be cancelled, why.

    shop_text: the adapter's own words for (biller, service, resp_code); undo_text: its words for a refused cancel.
    """
    row, kept = taken.payment, taken.kept
    text = text_of(row, shop_text)
    return api.Payment(
        gateway_serial=row.gateway_serial,
        state=row.state,
        service=row.service,
        biller=row.biller,
        biller_account=row.biller_account,
        amount_fen=row.amount_fen,
        paid_fen=row.paid_fen,
        fee_fen=row.fee_fen,
        account_date=row.account_date,
        settle_date=row.settle_date,
        accepted_at=rfc3339(row.accepted_at),
        send_before=rfc3339(row.send_before),
        final_at=_time(row.final_at),
        biller_serial=row.biller_serial,
        reason=row.reason if kept is None else kept.reason,
        shop_text=text if kept is None else _kept_text(row, kept, text, undo_text),
        terminal_trace=row.terminal_trace,
        idempotency_key=row.idempotency_key,
        in_doubt=_in_doubt(row, taken.doubt),
        card=_card(row),
        params={} if row.params == "{}" else _params.decode(row.params),
        cancels=row.cancels,
    )


def text_of(row: Payment, shop_text: ShopText) -> str:
    """What the shop is told. Only what is proven unpaid is worded as a failure (M5)."""
    state = State(row.state)
    if row.kind == OrderKind.REFUND:
        return texts.REFUND_TEXTS.get(state, texts.STATE_TEXTS[State.UNKNOWN])
    if row.kind == OrderKind.DEBIT:
        return texts.TOP_UP_TEXTS.get(state, texts.STATE_TEXTS[State.UNKNOWN])
    if state is State.FAILED:
        return texts.FAILED.format(why=_why(row, shop_text).rstrip("。"))
    if state is State.SUCCESS and row.paid_fen is not None and row.paid_fen < row.amount_fen:
        paid, rest = Fen(row.paid_fen), Fen(row.amount_fen - row.paid_fen)
        text = texts.PARTIAL.format(paid=paid.to_yuan(), rest=rest.to_yuan())
        return text if row.ruling is None else f"{text}（经人工裁定）"
    if row.ruling is not None and state in _RULED:
        return _RULED[state]
    return texts.STATE_TEXTS[state]


def _kept_text(row: Payment, cancel: Order, text: str, undo_text: ShopText) -> str:
    """text: what the shop would be told of the payment alone; "paid" must not be read as "the cancel is done"."""
    own = undo_text(row.biller, row.service, cancel.resp_code) if cancel.resp_code and not _is_ours(cancel) else None
    why = own or _NOT_CANCELLED.get(cancel.reason or "", texts.NOT_CANCELLED_UNEXPLAINED)
    now = texts.STILL_PAID if text in (texts.STATE_TEXTS[State.SUCCESS], texts.RULED_PAID) else text
    return texts.NOT_CANCELLED.format(why=why.rstrip("。"), now=now)


def _why(row: Payment, shop_text: ShopText) -> str:
    own = shop_text(row.biller, row.service, row.resp_code) if row.resp_code and not _is_ours(row) else None
    return own or _REASONS.get(row.reason or "", texts.FAILED_UNEXPLAINED)


def _is_ours(row: Payment | Order) -> bool:
    """Our own reasons to end what was not sent are not the biller's: an older code may still stand beside them."""
    return row.reason in (Reason.EXPIRED_UNSENT, Reason.GIVEN_UP, Reason.ABSENT, Reason.RULED)


def _in_doubt(row: Payment, order: Order | None) -> api.InDoubt | None:
    if row.in_doubt_since is None or State(row.state) not in IN_DOUBT:
        return None
    if order is None:
        return api.InDoubt(since=rfc3339(row.in_doubt_since), rung=1, next_step_at=None)
    return api.InDoubt(
        since=rfc3339(row.in_doubt_since),
        rung=max(1, order.rung),
        next_step_at=_time(order.ask_at if order.ask_at is not None else order.next_try_at),
    )


def _card(row: Payment) -> api.Card | None:
    if row.write_data is None and row.purchase_count is None:
        return None
    return api.Card(write_data=row.write_data, purchase_count=row.purchase_count)


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def balance(view: AccountView) -> api.AccountBalance:
    """A station's money (worked example s2: posted = available + reserved)."""
    row = view.balance
    return api.AccountBalance(
        available_fen=row.available_fen,
        reserved_fen=row.reserved_fen,
        posted_fen=row.available_fen + row.reserved_fen,
        overdraft_limit_fen=view.overdraft_limit_fen,
        low_balance=row.available_fen < view.low_balance_fen,
        account_date=view.account_date,
        certificate_days_left=view.certificate_days_left,
    )


def entry(leg: Posting, transaction: Transaction) -> api.Entry:
    """One line of a station's statement. ValueError for a leg without a running balance: none is on a statement."""
    if leg.balance_after is None:
        raise ValueError(f"{leg.txn_id}/{leg.leg} has no balance after it")
    return api.Entry(
        entry_id=f"{leg.txn_id}-{leg.leg}",
        account=leg.account,
        amount_fen=leg.amount_fen,
        balance_after_fen=leg.balance_after,
        recipe=leg.recipe,
        gateway_serial=transaction.gateway_serial,
        posting_date=transaction.posting_date,
        account_date=transaction.account_date,
        posted_at=rfc3339(transaction.created_at),
    )
