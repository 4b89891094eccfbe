"""How often a station may ask."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http import buckets
from gateway.http.buckets import Buckets


def test_a_burst_then_the_rate() -> None:
    rates = Buckets(rate=2, burst=3)
    assert [rates.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert rates.take("b", 0.0) == 0
    assert [rates.take("a", 0.5), rates.take("a", 0.5)] == [0, 1]
    assert [rates.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 1]


@given(st.lists(st.integers(0, 200), max_size=200))
def test_never_more_than_burst_plus_rate(gaps: list[int]) -> None:
    rates, now, taken = Buckets(rate=5, burst=10), 0.0, 0
    for gap in gaps:
        now += gap / 100
        taken += rates.take("a", now) == 0
    assert taken <= 10 + 5 * now + 1


def test_memory_is_bounded() -> None:
    kept, buckets.KEPT = buckets.KEPT, 10
    try:
        rates = Buckets(rate=1, burst=1)
        for n in range(50):
            rates.take(str(n), 0.0)
        assert len(rates._left) == 10
    finally:
        buckets.KEPT = kept
