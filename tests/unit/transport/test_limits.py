"""Slots: never more calls at once, never more in any second, and never stuck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.limits import Slots


def test_concurrency() -> None:
    slots = Slots(2, 100)
    assert slots.try_take(0.0)
    assert slots.try_take(0.0)
    assert not slots.try_take(0.0)
    assert (slots.in_use(), slots.next_at(5.0)) == (2, None)
    slots.release()
    assert slots.next_at(5.0) == 5.0
    assert slots.try_take(5.0)


def test_a_refused_take_costs_nothing() -> None:
    slots = Slots(1, 2)
    assert slots.try_take(0.0)
    for _ in range(10):
        assert not slots.try_take(0.0)
    slots.release()
    assert slots.try_take(0.0)
    assert slots.in_use() == 1


def test_rate_in_any_window() -> None:
    slots = Slots(100, 3)
    assert [slots.try_take(at) for at in (0.0, 0.5, 0.9, 0.99)] == [True, True, True, False]
    assert slots.next_at(0.99) == 1.0
    assert [slots.try_take(at) for at in (1.0, 1.0, 1.49, 1.5)] == [True, False, False, True]


def test_release_gives_back_the_slot_not_the_token() -> None:
    slots = Slots(1, 1)
    assert slots.try_take(0.0)
    slots.release()
    assert not slots.try_take(0.5)
    assert slots.next_at(0.5) == 1.0


def test_too_many_releases() -> None:
    with pytest.raises(ValueError):
        Slots(1, 1).release()


@pytest.mark.parametrize("bad", [(-1, 1), (1, -1)])
def test_limits_below_zero(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError):
        Slots(*bad)
    with pytest.raises(ValueError):
        Slots(1, 1).resize(*bad)


@pytest.mark.parametrize("none", [(0, 1), (1, 0)])
def test_limits_of_zero_let_nobody_through(none: tuple[int, int]) -> None:
    slots = Slots(*none)
    assert (slots.try_take(0.0), slots.free(0.0), slots.next_at(0.0)) == (False, 0, None)


def test_fewer_slots_take_nothing_back() -> None:
    slots = Slots(3, 10)
    assert all(slots.try_take(0.0) for _ in range(3))
    slots.resize(1, 10)
    assert (slots.in_use(), slots.free(2.0), slots.next_at(2.0)) == (3, 0, None)
    slots.release()
    slots.release()
    assert (slots.try_take(2.0), slots.next_at(2.0)) == (False, None)
    slots.release()
    assert slots.try_take(2.0)


def test_a_lower_rate_waits_for_the_tokens_that_are_out() -> None:
    slots = Slots(10, 3)
    assert all(slots.try_take(at) for at in (0.0, 0.25, 0.5))
    slots.resize(10, 1)
    assert (slots.tokens_out(0.6), slots.next_at(0.6)) == (3, 1.5)
    assert not slots.try_take(1.4)
    assert slots.try_take(1.5)
    slots.resize(10, 2)
    assert slots.try_take(1.5)


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.floats(0, 0.7, allow_nan=False)), max_size=80),
)
def test_never_above_and_never_stuck(concurrency: int, rate: int, steps: list[tuple[bool, float]]) -> None:
    slots, now, out = Slots(concurrency, rate), 1e9, 0
    starts: list[float] = []
    for take, wait in steps:
        now += wait
        free_at = slots.next_at(now)
        if take:
            took = slots.try_take(now)
            assert took == (free_at == now)
            if took:
                starts.append(now)
                out += 1
        elif out:
            slots.release()
            out -= 1
        assert slots.in_use() == out <= concurrency
    for at in starts:
        assert sum(at <= other < at + 1.0 for other in starts) <= rate
    if out < concurrency:
        then = slots.next_at(now)
        assert then is not None
        assert slots.try_take(then)
