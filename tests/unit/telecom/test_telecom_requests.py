"""SPEC s5: our orders and questions become exactly the recorded request bodies."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.telecom import wire
from adapters.telecom.wire import BadOrder
from contracts.money import Fen
from contracts.states import OrderKind
from tests.unit.telecom.recorded import (
    NAMES,
    NOW,
    agent_of,
    bill_question,
    body,
    members,
    name,
    pay_order,
    result_query,
    undo_order,
)

ENCODERS: dict[str, Callable[[int], dict[str, str]]] = {
    "bill-query": lambda number: wire.bill_query(bill_question(number)),
    "bill-pay": lambda number: wire.bill_pay(pay_order(number)),
    "bill-reverse": lambda number: wire.bill_reverse(undo_order(number)),
    "topup-order": lambda number: wire.topup_order(pay_order(number)),
    "order-query": lambda number: wire.order_query(result_query(number)),
    "recon-file": lambda number: wire.recon_file(date.fromisoformat(members(number, "request")["acctDate"])),
}
# 34 and 37 carry a wrong sign on purpose, 38 is no request of ours, 25-27 are the platform's, 45 is a GET.
NOT_OURS = {34, 37, 38, 25, 26, 27, 45}
OLD = datetime(2026, 11, 24, 2, 9, 59, tzinfo=UTC)


def encoder_of(number: int) -> Callable[[int], dict[str, str]]:
    for flow, encoder in ENCODERS.items():
        if name(number)[3:].startswith(flow):
            return encoder
    return ENCODERS["bill-query"]  # 35-41 are bill queries under other names


@pytest.mark.parametrize("number", [int(n[:2]) for n in NAMES if int(n[:2]) not in NOT_OURS])
def test_exact_body_of_every_request(number: int) -> None:
    sent = wire.seal(
        agent_of(number),
        encoder_of(number)(number),
        at=OLD if number == 35 else NOW,
        nonce=members(number, "request")["nonce"],
    )
    assert sent == body(number, "request")


def test_timestamp_is_cut_not_rounded() -> None:
    at = NOW.replace(microsecond=999_999)
    sealed = wire.seal(agent_of(1), {}, at=at, nonce="n" * 16)
    assert b'"timestamp":"20261124101500"' in sealed


def test_secrets_are_not_printed() -> None:
    assert "Tel-Test" not in repr(agent_of(1))


BAD_PAYMENTS: list[dict[str, Any]] = [
    {"partner_serial": "2026112400000000000"},
    {"partner_serial": "2026112400000000000１"},
    {"partner_serial": "20261124000000000001\n"},
    {"institution_code": ""},
    {"institution_code": "JN-0017"},
    {"institution_code": "A" * 21},
    {"biller_account": "12800000001"},
    {"biller_account": "1380000000"},
    {"params": {}},
    {"params": {"carrier": "1"}},
    {"params": {"carrier": "cmcc", "sms": "2"}},
    {"amount": Fen(0)},
    {"amount": Fen(-100)},
    {"amount": Fen(5_000_001)},
]


@pytest.mark.parametrize("change", BAD_PAYMENTS, ids=range(len(BAD_PAYMENTS)))
@pytest.mark.parametrize("number", [4, 19])
def test_what_the_platform_would_refuse_is_not_built(number: int, change: dict[str, Any]) -> None:
    encode = wire.bill_pay if number == 4 else wire.topup_order
    assert encode(pay_order(number))
    with pytest.raises(BadOrder):
        encode(pay_order(number, **change))


@pytest.mark.parametrize(
    "bill",
    [
        {},
        {"queryNo": "Q20261124101500000000001"},
        {"queryNo": "Q20261124101500000000001", "ispCode": "2", "accType": "01"},
        {"queryNo": "Q20261124101500000000001", "ispCode": "1", "accType": "03"},
        {"queryNo": "X", "ispCode": "1", "accType": "01"},
    ],
)
def test_a_bill_of_something_else_is_not_paid(bill: dict[str, str]) -> None:
    with pytest.raises(BadOrder, match="queryNo"):
        wire.bill_pay(pay_order(4, bill=bill))


def test_topup_needs_whole_yuan() -> None:
    with pytest.raises(BadOrder, match="faceValue"):
        wire.topup_order(pay_order(19, amount=Fen(5001)))


@pytest.mark.parametrize(
    ("line", "account", "acc_type"),
    [(None, "user@jn.163", "03"), ("broadband", "user@jn.163", "03"), ("fixed", "053188886666", "02")],
)
def test_kinds_of_line(line: str | None, account: str, acc_type: str) -> None:
    question = replace(bill_question(1), service="broadband.bill", biller_account=account)
    question = replace(question, params={"carrier": "ctcc", **({"line": line} if line else {})})
    assert wire.bill_query(question) == {"ispCode": "3", "accType": acc_type, "accNo": account}
    with pytest.raises(BadOrder):
        wire.bill_query(replace(question, params={"carrier": "ctcc", "line": "isdn"}))


def test_order_types() -> None:
    assert wire.order_type(OrderKind.PAY, "mobile.topup") == "2"
    assert wire.order_type(OrderKind.PAY, "broadband.bill") == "1"
    assert wire.order_type(OrderKind.REVERSE, "mobile.bill") == wire.order_type(OrderKind.CANCEL, "mobile.bill") == "3"
    for kind in set(OrderKind) - {OrderKind.PAY, OrderKind.REVERSE, OrderKind.CANCEL}:
        with pytest.raises(BadOrder):
            wire.order_type(kind, "mobile.bill")


def test_recon_date() -> None:
    assert wire.recon_file(date(2026, 1, 2)) == {"acctDate": "20260102"}
