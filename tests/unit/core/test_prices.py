"""Fees and shares add up to the fen, by a named rounding and dated versions (M9, FEE-09, GAP 7)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.prices import commission, fee_on_partial, half_up, in_force
from gateway.core.rows import CommissionPlan, Tariff
from tests.unit.core.test_recipes import plan


@pytest.mark.parametrize(
    ("numerator", "denominator", "whole"),
    [
        (0, 10, 0),
        (4, 10, 0),
        (5, 10, 1),
        (14, 10, 1),
        (15, 10, 2),
        (1, 2, 1),
        (1, 3, 0),
        (2, 3, 1),
        (10**13, 3, 3333333333333),
    ],
)
def test_half_up_vectors(numerator: int, denominator: int, whole: int) -> None:
    assert half_up(numerator, denominator) == whole


@given(st.integers(0, 10**15), st.integers(1, 10**7))
def test_half_up_is_the_nearest_and_half_goes_up(numerator: int, denominator: int) -> None:
    apart = Fraction(half_up(numerator, denominator)) - Fraction(numerator, denominator)
    assert Fraction(-1, 2) < apart <= Fraction(1, 2)


@pytest.mark.parametrize(("numerator", "denominator"), [(-1, 2), (1, 0), (1, -1)])
def test_half_up_refuses_what_it_cannot_round(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError):
        half_up(numerator, denominator)


@pytest.mark.parametrize(
    ("paid", "rate", "parts"),
    [
        (10_000, 15_000, (150, 105, 45)),  # worked example s3.1
        (12_345, 3_000, (37, 26, 11)),  # s3.2
        (8_000, 10_000, (80, 56, 24)),  # s3.4
        (1, 15_000, (0, 0, 0)),
        (100, 5_000, (1, 1, 0)),  # half a fen goes up, the post takes the rest
        (5_000, 1_000, (5, 4, 1)),
    ],
)
def test_commission_vectors(paid: int, rate: int, parts: tuple[int, int, int]) -> None:
    made = commission(paid, plan(rate))
    assert (made.biller, made.station, made.post) == parts


@given(st.integers(0, 10**13), st.integers(0, 10**6), st.integers(0, 10))
def test_m9_parts_add_up_to_the_whole(paid: int, rate: int, tenths: int) -> None:
    made = commission(paid, plan(rate, tenths))
    assert made.station + made.post == made.biller
    assert made.station >= 0
    assert made.post >= 0
    assert made.biller <= paid


@given(st.integers(0, 10_000), st.integers(1, 10**9), st.data())
def test_fee_on_a_part_is_never_above_the_fee(fee: int, amount: int, data: st.DataObject) -> None:
    paid = data.draw(st.integers(1, amount))
    part = fee_on_partial(fee, amount, paid)
    assert 0 <= part <= fee
    if paid == amount:
        assert part == fee


def tariff(version: str, effective_from: str) -> Tariff:
    return Tariff(version=version, service="s", effective_from=effective_from, fee_fen=1, min_fen=1, max_fen=2)


def test_the_newest_version_in_force_prices() -> None:
    rules = [
        tariff("V1", "2026-01-01"),
        tariff("V3", "2026-11-24"),
        tariff("V2", "2026-11-24"),
        tariff("V4", "2026-12-01"),
    ]
    found = in_force(rules, "s", "2026-11-24")
    assert found is not None
    assert found.version == "V3"
    assert in_force(rules, "s", "2025-12-31") is None
    assert in_force(rules, "other", "2026-11-24") is None
    assert isinstance(plan(1), CommissionPlan)
