"""Fen: whole fen, bounded, and one narrow way in from text (M1)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.money import FEN_MAX, Fen

amounts = st.integers(-FEN_MAX, FEN_MAX)


@given(amounts)
@example(FEN_MAX)
@example(-1)
@example(-100)
def test_text_comes_back(value: int) -> None:
    text = Fen(value).to_yuan()
    if abs(value) < 10**13:
        assert Fen.from_yuan(text) == Fen(value)
    assert text.isascii()
    assert text.lstrip("-").partition(".")[2].isdigit()


@given(st.integers(0, 10**11 - 1), st.text("0123456789", max_size=2))
def test_up_to_two_decimals(yuan: int, cents: str) -> None:
    text = f"{yuan}.{cents}" if cents else str(yuan)
    assert Fen.from_yuan(text).value == yuan * 100 + int(cents.ljust(2, "0"))


@given(st.text())
def test_whatever_is_read_is_ascii_and_exact(text: str) -> None:
    try:
        read = Fen.from_yuan(text)
    except ValueError:
        return
    assert text.isascii()
    assert read == Fen(int(text.partition(".")[0] + text.partition(".")[2].ljust(2, "0")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        "1.",
        ".5",
        "1.234",
        "1,000",
        "1_000",
        "1e3",
        "0x10",
        "NaN",
        "inf",
        "１２.３４",
        "١٢",
        "一百",
        "1。5",
        "−1",
        "1\x00",
        "¥1",
        "1元",
        "9" * 12,
        "9" * 10_000,
    ],
)
def test_every_other_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        Fen.from_yuan(text)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, Fen(1)])
def test_only_an_int(value: object) -> None:
    with pytest.raises(TypeError):
        Fen(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [FEN_MAX + 1, -FEN_MAX - 1, 10**30])
def test_bounded(value: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Fen(value)


@given(amounts, amounts)
def test_arithmetic_is_exact_or_refused(left: int, right: int) -> None:
    for exact, add in ((left + right, Fen.__add__), (left - right, Fen.__sub__)):
        if abs(exact) <= FEN_MAX:
            assert add(Fen(left), Fen(right)) == Fen(exact)
        else:
            with pytest.raises(ValueError, match="out of range"):
                add(Fen(left), Fen(right))
    assert -Fen(left) == Fen(-left)
    assert (Fen(left) < Fen(right)) == (left < right)
