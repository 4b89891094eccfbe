"""Serials: in the order of time, in one form, reproducible from their entropy."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.serials import CROCKFORD, Serials, encode_crockford, is_serial, mint_serial

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW_MS = int(datetime(2026, 11, 24, 1, 2, 3, 456000, tzinfo=UTC).timestamp() * 1000)
moments = st.integers(0, 2**48 - 1).filter(lambda ms: ms < 4_000_000_000_000)
bits = st.integers(0, 2**32 - 1)


def test_worked_example() -> None:
    assert mint_serial(NOW_MS, SHANGHAI, 0).startswith("2026112406H0P4QWR")
    assert mint_serial(NOW_MS, SHANGHAI, 2**32 - 1).startswith("2026112406H0P4QWR")


def test_the_date_is_the_bureaus() -> None:
    late = int(datetime(2026, 11, 24, 16, 0, tzinfo=UTC).timestamp() * 1000)
    assert mint_serial(late - 1, SHANGHAI, 0)[:8] == "20261124"
    assert mint_serial(late, SHANGHAI, 0)[:8] == "20261125"
    assert mint_serial(late, UTC, 0)[:8] == "20261124"


@given(moments, moments, bits, bits)
def test_later_sorts_after_earlier(one: int, other: int, first: int, second: int) -> None:
    serials = mint_serial(one, SHANGHAI, first), mint_serial(other, SHANGHAI, second)
    if one != other:
        assert (serials[0] < serials[1]) == (one < other)


@given(moments, bits)
def test_what_is_minted_is_a_serial(now_ms: int, random_bits: int) -> None:
    assert is_serial(mint_serial(now_ms, SHANGHAI, random_bits))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026112406H0P4QWR2D3RMF",
        "2026112406H0P4QWR2D3RMF77",
        "2026112406h0p4qwr2d3rmf7",
        "2026112406I0P4QWR2D3RMF7",
        "2026112406L0P4QWR2D3RMF7",
        "2026112406O0P4QWR2D3RMF7",
        "2026112406U0P4QWR2D3RMF7",
        "2026112406H0P4QWR2D3RMF7\n",
        "２026112406H0P4QWR2D3RMF7",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    assert not is_serial(text)


@pytest.mark.parametrize(("value", "length"), [(-1, 4), (32**4, 4), (1, 0)])
def test_what_does_not_fit_is_refused(value: int, length: int) -> None:
    with pytest.raises(ValueError, match="fit"):
        encode_crockford(value, length)


@given(st.integers(0, 2**80 - 1))
def test_crockford_keeps_value_and_order(value: int) -> None:
    text = encode_crockford(value, 16)
    assert sum(CROCKFORD.index(letter) * 32**place for place, letter in enumerate(reversed(text))) == value


@given(st.integers(0, 2**64 - 1))
def test_a_decision_done_again_mints_the_same(entropy: int) -> None:
    once, again = Serials(NOW_MS, SHANGHAI, entropy), Serials(NOW_MS, SHANGHAI, entropy)
    first = [once.mint() for _ in range(5)]
    assert first == [again.mint() for _ in range(5)]
    assert len(set(first)) == 5


def test_other_entropy_gives_other_serials() -> None:
    minted = {Serials(NOW_MS, SHANGHAI, entropy).mint() for entropy in range(1000)}
    assert len(minted) == 1000
