"""The comparison of the two books says what is wrong, each thing by its own sentence."""

from typing import Any

import pytest
from msgspec.structs import replace

from adapters.kit.agreement import disagreements
from adapters.kit.book import BookLine, BookState
from contracts.money import Fen
from contracts.ports import Seen

LINE = BookLine(
    order_no="1",
    order_seq=1,
    kind="payment",
    plat_no="P1",
    account="13800000001",
    amount_fen=100,
    charged_fen=100,
    state=BookState.BOOKED,
    partner_state="2",
    created_at="20261124120000",
    received=1,
    shop_no="46000001",
)
REVERSAL = replace(LINE, order_no="2", kind="reversal", charged_fen=0, orig_order_no="1")


def seen(state: str, **changes: Any) -> Seen:
    values: dict[str, Any] = {
        "gateway_serial": "G1",
        "partner_serial": "1",
        "state": state,
        "amount": Fen(100),
        "paid": Fen(100) if state == "SUCCESS" else None,
        "in_doubt": False,
        "undo": None,
        "breaks": (),
    }
    return Seen(**(values | changes))


@pytest.mark.parametrize(
    ("lines", "payment"),
    [
        ([LINE], seen("SUCCESS")),
        ([replace(LINE, charged_fen=60)], seen("SUCCESS", paid=Fen(60))),
        ([], seen("FAILED")),
        ([], seen("RESERVED")),
        ([replace(LINE, charged_fen=0)], seen("FAILED")),
        ([replace(LINE, charged_fen=0), REVERSAL], seen("REVERSED")),
        ([replace(LINE, charged_fen=0), replace(REVERSAL, received=3)], seen("CANCELLED")),
    ],
)
def test_books_agree(lines: list[BookLine], payment: Seen) -> None:
    assert disagreements(lines, [payment], silent=False) == []


@pytest.mark.parametrize(
    ("lines", "payment", "sentence"),
    [
        ([replace(LINE, received=2)], seen("SUCCESS"), "1: received 2 times"),
        ([LINE, replace(LINE, order_seq=2, charged_fen=0)], seen("SUCCESS"), "1: 2 records under one number"),
        ([replace(LINE, charged_fen=99)], seen("SUCCESS"), "1: SUCCESS with 100 fen, their book charges 99"),
        ([], seen("SUCCESS"), "1: SUCCESS with 100 fen, their book charges 0"),
        ([], seen("SUCCESS", paid=None), "1: SUCCESS with None fen, their book charges 0"),
        ([replace(LINE, amount_fen=101)], seen("SUCCESS"), "1: ordered 100 fen, their book says 101"),
        ([LINE], seen("FAILED"), "1: FAILED, yet their book charges 100 fen"),
        ([LINE], seen("RESERVED"), "1: RESERVED, yet their book charges 100 fen"),
        ([LINE], seen("REVERSED"), "1: REVERSED, yet their book charges 100 fen"),
        ([LINE], seen("CANCELLED"), "1: CANCELLED, yet their book charges 100 fen"),
        ([LINE], seen("UNKNOWN"), "1: still UNKNOWN, their book charges 100 fen"),
        ([LINE], seen("CANCELLING"), "1: still CANCELLING, their book charges 100 fen"),
        ([LINE, replace(LINE, order_no="9")], seen("SUCCESS"), "9: in their book, not in ours"),
        ([LINE, REVERSAL], seen("SUCCESS"), "2: undoes 1, which is SUCCESS with us"),
    ],
)
def test_every_difference_is_said(lines: list[BookLine], payment: Seen, sentence: str) -> None:
    assert sentence in disagreements(lines, [payment], silent=False)


def test_a_silent_biller_is_not_compared() -> None:
    assert disagreements([LINE], [seen("UNKNOWN")], silent=True) == []
    assert disagreements([replace(LINE, received=2)], [seen("UNKNOWN")], silent=True) == ["1: received 2 times"]
