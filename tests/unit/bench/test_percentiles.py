"""Percentiles and the composed floor."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.percentiles import harmonic, percentile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(50, 50), (99, 99), (99.5, 100), (1, 1), (0.001, 1), (100, 100)],
)
def test_percentile_of_one_to_a_hundred(percent: float, expected: int) -> None:
    assert percentile([*range(100, 0, -1)], percent) == expected


def test_percentile_of_an_even_number_is_the_lower_middle() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2


def test_percentile_does_not_slip_a_rank_by_rounding() -> None:
    # 0.07 * 100 is 7.000000000000001 in floats.
    assert percentile([*range(1, 101)], 7) == 7


@given(VALUES, st.integers(1, 100))
def test_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101), ([1], -1)])
def test_percentile_refuses(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"values|percent"):
        percentile(values, percent)


def test_harmonic_adds_times_not_rates() -> None:
    # 1 ms + 2 ms + 2 ms: 200 a second.
    assert harmonic([1000, 500, 500]) == pytest.approx(200)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=6))
def test_harmonic_agrees_with_the_mean(rates: list[float]) -> None:
    assert harmonic(rates) == pytest.approx(statistics.harmonic_mean(rates) / len(rates))


@pytest.mark.parametrize("rates", [[], [0], [5, -1]])
def test_harmonic_refuses(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        harmonic(rates)
