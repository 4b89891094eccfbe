"""Request bodies: what each member may hold, at its bounds and just beyond."""

import json
from typing import Any

import pytest

from contracts import api
from contracts.strict_json import Malformed, decode

PAY: dict[str, Any] = {
    "service": "mobile.topup",
    "biller_account": "13805790001",
    "amount_fen": 10000,
    "terminal_trace": "000123",
}
GOOD: list[tuple[type[api.Request], dict[str, Any]]] = [
    (api.PaymentRequest, PAY),
    (api.BillQueryRequest, {"service": "power.bill", "biller_account": "4600123456"}),
    (api.InquiryRequest, {"idempotency_key": "T1-20261124-000123"}),
    (api.CancellationRequest, {"reason": "户号错误"}),
    (api.CardWriteRequest, {"result": "ok"}),
    (api.RefundRequest, {"amount_fen": 500, "reason": "多收"}),
]


def read(kind: type[api.Request], body: dict[str, Any]) -> Any:
    """A body as the gateway reads it."""
    return decode(json.dumps(body).encode(), kind)


@pytest.mark.parametrize(("kind", "body"), GOOD)
def test_the_least_is_enough_and_nothing_unknown_is_taken(kind: type[api.Request], body: dict[str, Any]) -> None:
    read(kind, body)
    for missing in body:
        with pytest.raises(Malformed, match=missing):
            read(kind, {name: value for name, value in body.items() if name != missing})
    with pytest.raises(Malformed, match="institution_code"):
        read(kind, body | {"institution_code": "33078200017"})


TAKEN: list[tuple[str, list[Any]]] = [
    ("service", ["a.b", "power.bill", "gas.card-2", "a." + "b" * 38]),
    ("biller_account", ["0", "a@b.c_d-e", "0" * 32]),
    ("amount_fen", [1, 10**10]),
    ("terminal_trace", ["1", "a_-" * 10]),
    ("params", [{}, {"carrier": "cmcc"}, {"a": "移动 " * 21}, {f"p{number}": "x" for number in range(8)}]),
    ("query_token", [None, "A" * 16, "-_" * 32]),
    ("confirm_repeat", [None, "A" * 64]),
    ("cash_received_fen", [None, 1, 10**10]),
]
REFUSED: list[tuple[str, list[Any]]] = [
    ("service", ["", "power", "Power.bill", "power.", ".bill", "power.bill\n", "1a.b", "a." + "b" * 39, None, 5]),
    ("biller_account", ["", "0" * 33, "1 2", "１２", "1\n", "\n1", "a/b", "a%b", "a'b", "", 13805790001, None]),
    ("amount_fen", [0, -1, 10**10 + 1, "100", True, None, [1]]),
    ("terminal_trace", ["", "a" * 33, "a b", "a\n", "中"]),
    ("params", [None, [], {"A": "x"}, {"a": ""}, {"a": "x" * 65}, {"a": "x\n"}, {"a": "\x7f"}, {"a": 1}, {"a\n": "x"}]),
    ("query_token", ["", "a" * 15, "a" * 65, "a" * 16 + "\n", "a" * 15 + "=", "a" * 15 + "é"]),
    ("confirm_repeat", ["short", "a" * 16 + "\n"]),
    ("cash_received_fen", [0, -5, 10**10 + 1]),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TAKEN for value in values])
def test_taken(name: str, value: Any) -> None:
    assert getattr(read(api.PaymentRequest, PAY | {name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED for value in values])
def test_refused_and_named(name: str, value: Any) -> None:
    with pytest.raises(Malformed) as caught:
        read(api.PaymentRequest, PAY | {name: value})
    assert caught.value.field is not None
    assert name in caught.value.field or caught.value.field == f"key` in `$.{name}"


def test_no_more_than_eight_params() -> None:
    with pytest.raises(Malformed):
        read(api.PaymentRequest, PAY | {"params": {f"p{number}": "x" for number in range(9)}})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (api.CardWriteRequest, {"result": "ok\n"}),
        (api.CardWriteRequest, {"result": "OK"}),
        (api.CardWriteRequest, {"result": "ok", "card_data": "0g"}),
        (api.CardWriteRequest, {"result": "ok", "card_data": "00\n"}),
        (api.CardWriteRequest, {"result": "ok", "card_data": "0" * 2049}),
        (api.InquiryRequest, {"idempotency_key": "T1-20261124-000123\n"}),
        (api.InquiryRequest, {"idempotency_key": '"T1-20261124-000123"'}),
        (api.CancellationRequest, {"reason": ""}),
        (api.CancellationRequest, {"reason": "x" * 201}),
        (api.CancellationRequest, {"reason": "a\x1bb"}),
        (api.CancellationRequest, {"reason": "x", "authorization": "short"}),
        (api.RefundRequest, {"amount_fen": 0, "reason": "x"}),
    ],
)
def test_other_bodies_refused(kind: type[api.Request], body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(kind, body)
