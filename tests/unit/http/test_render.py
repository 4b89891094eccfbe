"""What a terminal is told about a payment."""

from typing import Any

import pytest

from contracts.outcomes import Reason
from contracts.states import OrderKind, State
from gateway.core.items import Taken
from gateway.core.rows import Balance, Order, Payment, Posting, Transaction
from gateway.core.views import AccountView
from gateway.http import render, texts

SERIAL = "2026112406H0P4QWR2D3RMF7"
T0 = 1795482123456


def _row(**changes: Any) -> Payment:
    fields: dict[str, Any] = {
        "gateway_serial": SERIAL,
        "kind": OrderKind.PAY,
        "state": State.RESERVED,
        "version": 1,
        "institution_code": "33078200017",
        "terminal_id": "T1",
        "operator_id": "0001",
        "terminal_trace": "000123",
        "idempotency_key": "T1-20261124-000123",
        "service": "mobile.topup",
        "biller": "telecom",
        "biller_account": "13805790001",
        "amount_fen": 10_000,
        "fee_fen": 100,
        "account_date": "2026-11-24",
        "settle_date": "2026-11-24",
        "accepted_at": T0,
        "send_before": T0 + 120_000,
        "tariff_version": "TF",
        "commission_version": "CP",
        "trace_id": "0" * 32,
    }
    return Payment(**(fields | changes))


def _order(**changes: Any) -> Order:
    return Order(
        order_serial=SERIAL,
        gateway_serial=SERIAL,
        kind="PAY",
        state="UNKNOWN",
        biller="telecom",
        biller_account="13805790001",
        partner_serial=SERIAL,
        created_at=T0,
        send_before=T0,
        **changes,
    )


def _own(biller: str, service: str, resp_code: str) -> str | None:
    return {"E12": "用户已销户"}.get(resp_code)


def _undo(biller: str, service: str, resp_code: str) -> str | None:
    return {"2012": "话费已被使用，不能撤销，缴费有效"}.get(resp_code)


def _text(**changes: Any) -> str:
    return render.text_of(_row(**changes), _own)


def test_the_worked_example() -> None:
    """worked-example s3.1, field by field."""
    row = _row(
        state=State.SUCCESS,
        paid_fen=10_000,
        final_at=T0 + 2458,
        biller_serial="TP2026112409020300000077",
    )
    shown = render.payment(Taken(payment=row), _own, _undo)
    assert (shown.accepted_at, shown.send_before) == ("2026-11-24T01:02:03.456Z", "2026-11-24T01:04:03.456Z")
    assert (shown.final_at, shown.shop_text) == ("2026-11-24T01:02:05.914Z", "缴费成功")
    assert (shown.in_doubt, shown.card, shown.params, shown.cancels) == (None, None, {}, None)


def test_every_state_of_a_payment_has_a_text() -> None:
    assert set(texts.STATE_TEXTS) == set(State) - {State.FAILED}
    assert set(texts.REASON_TEXTS) == set(Reason)


@pytest.mark.parametrize("kind", [OrderKind.PAY, OrderKind.REFUND, OrderKind.DEBIT])
@pytest.mark.parametrize("state", [state for state in State if state is not State.FAILED])
def test_what_has_not_failed_is_not_worded_as_a_failure(kind: OrderKind, state: State) -> None:
    """M5, also where an older code of the biller stands beside it."""
    text = _text(kind=kind, state=state, resp_code="E12", reason=Reason.BILLER_REFUSED)
    assert "失败" not in text
    assert "销户" not in text


@pytest.mark.parametrize("state", [State.UNKNOWN, State.REVERSING, State.RESERVED, State.SENT])
def test_open_payments_warn_against_collecting_again(state: State) -> None:
    assert "请勿重复收款" in _text(state=state)


def test_a_failure_says_why() -> None:
    failed = {"state": State.FAILED}
    assert _text(**failed, resp_code="E12", reason=Reason.BILLER_REFUSED).startswith("缴费失败：用户已销户。")
    assert "没有欠费" in _text(**failed, resp_code="E99", reason=Reason.NO_ARREARS)
    assert "未受理" in _text(**failed, reason="a reason of tomorrow")
    # Given up before it was sent: an older code of the biller is not why.
    assert "已放弃" in _text(**failed, resp_code="E12", reason=Reason.GIVEN_UP)


def test_partial_success_names_both_amounts() -> None:
    text = _text(state=State.SUCCESS, paid_fen=2_005)
    assert "实缴20.05元" in text
    assert "未缴79.95元" in text


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"resp_code": "2012", "reason": "credit-used"}, "话费已被使用，不能撤销，缴费有效"),
        ({"resp_code": "E99", "reason": "of tomorrow"}, "收费单位拒绝撤销"),
        # Of the tables of payments: the code means something else there.
        ({"resp_code": "E12", "reason": None}, "收费单位拒绝撤销"),
        ({"resp_code": "2012", "reason": Reason.EXPIRED_UNSENT}, "撤销请求超时未发出"),
    ],
)
def test_a_cancel_that_failed_says_so_and_why(order: dict[str, Any], why: str) -> None:
    """M8: the payment is SUCCESS again, and nobody may take that for a cancel that was done."""
    row = _row(state=State.SUCCESS, paid_fen=10_000, resp_code=order["resp_code"])
    shown = render.payment(Taken(payment=row, kept=_order(**order)), _own, _undo)
    assert (shown.state, shown.reason) == ("SUCCESS", order["reason"])
    assert shown.shop_text == f"撤销未成功：{why}。原缴费仍然有效，请勿退款"


def test_a_cancel_that_failed_hides_neither_a_part_nor_a_card() -> None:
    part = _row(state=State.SUCCESS, paid_fen=2_005)
    shown = render.payment(Taken(payment=part, kept=_order()), _own, _undo)
    assert shown.shop_text == "撤销未成功：收费单位拒绝撤销。" + render.text_of(part, _own)
    card = _row(state=State.PAID_WAIT_WRITE)
    shown = render.payment(Taken(payment=card, kept=_order()), _own, _undo)
    assert shown.shop_text == "撤销未成功：收费单位拒绝撤销。已缴费，请立即写卡"


def test_doubt_names_rung_and_next_step() -> None:
    row = _row(state=State.UNKNOWN, in_doubt_since=T0)
    doubt = render.payment(Taken(payment=row, doubt=_order(ask_at=T0 + 10_000)), _own, _undo).in_doubt
    assert doubt is not None
    assert (doubt.since, doubt.rung, doubt.next_step_at) == ("2026-11-24T01:02:03.456Z", 1, "2026-11-24T01:02:13.456Z")
    higher = render.payment(Taken(payment=row, doubt=_order(rung=3)), _own, _undo).in_doubt
    assert higher is not None
    assert (higher.rung, higher.next_step_at) == (3, None)
    over = _row(state=State.SUCCESS, in_doubt_since=T0)
    assert render.payment(Taken(payment=over, doubt=_order()), _own, _undo).in_doubt is None


def test_cards() -> None:
    card = render.payment(Taken(payment=_row(write_data="00FF", purchase_count=7)), _own, _undo).card
    assert card is not None
    assert (card.write_data, card.purchase_count) == ("00FF", 7)


@pytest.mark.parametrize(("available", "low"), [(99, True), (100, False), (-1, True)])
def test_balance(available: int, low: bool) -> None:
    balance = Balance(institution_code="1", available_fen=available, reserved_fen=50)
    view = AccountView(balance=balance, overdraft_limit_fen=10, low_balance_fen=100, account_date="2026-11-24")
    shown = render.balance(view)
    assert (shown.posted_fen, shown.low_balance, shown.overdraft_limit_fen) == (available + 50, low, 10)


def test_a_leg_without_a_balance_is_no_line() -> None:
    leg = Posting(txn_id="t", leg=1, recipe="R01", account="2101", owner="x", amount_fen=1)
    transaction = Transaction(
        txn_id="t",
        recipe="R01",
        gateway_serial=None,
        order_serial=None,
        posting_date="2026-11-24",
        account_date=None,
        settle_date=None,
        cause="x",
        cause_id="x",
        created_at=0,
    )
    with pytest.raises(ValueError, match="no balance"):
        render.entry(leg, transaction)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": State.SUCCESS, "paid_fen": 10_000}, "缴费成功（经人工裁定）"),
        ({"state": State.FAILED, "reason": Reason.RULED, "resp_code": "E12"}, "经人工裁定未缴费"),
        ({"state": State.CANCELLED}, "已撤销（经人工裁定）"),
        ({"state": State.SUCCESS, "paid_fen": 4_000}, "经人工裁定"),
    ],
)
def test_what_two_people_ruled_says_so(changes: dict[str, Any], text: str) -> None:
    """M12: the shop must not take it for the biller's word; without a ruling nobody says so."""
    assert text in _text(ruling="E-1", **changes)
    assert "销户" not in _text(ruling="E-1", **changes)
    if "reason" not in changes:
        assert "裁定" not in _text(**changes)
