"""The circuit breaker: opens on failures in a row, probes once at a time, waits longer after each failed probe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.breaker import Breaker, BreakerPolicy, BreakerState, Ticket

POLICY = BreakerPolicy(failures_to_open=3, cool_down_s=10.0, cool_down_max_s=35.0, probe_timeout_s=5.0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def start(breaker: Breaker, now: float) -> Ticket:
    ticket = breaker.try_start(now)
    assert ticket is not None
    return ticket


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.failed(start(breaker, now), now)
    return breaker


def test_opens_only_on_failures_in_a_row() -> None:
    breaker = Breaker(POLICY)
    for _ in range(5):
        breaker.failed(start(breaker, 0.0), 0.0)
        breaker.failed(start(breaker, 0.0), 0.0)
        breaker.succeeded(start(breaker, 0.0))
    assert breaker.state(0.0) is CLOSED
    for expected in (1, 2):
        breaker.failed(start(breaker, 1.0), 1.0)
        assert (breaker.state(1.0), breaker.failures()) == (CLOSED, expected)
    assert breaker.retry_at(1.0) is None
    breaker.failed(start(breaker, 1.0), 1.0)
    assert (breaker.state(1.0), breaker.retry_at(1.0), breaker.try_start(1.0)) == (OPEN, 11.0, None)


def test_one_probe_at_a_time_closes_it() -> None:
    breaker = opened()
    assert breaker.try_start(9.99) is None
    assert breaker.state(10.0) is HALF_OPEN
    assert breaker.retry_at(10.0) is None
    probe = start(breaker, 10.0)
    assert probe.probe
    assert breaker.try_start(10.0) is None
    assert breaker.retry_at(10.0) == 15.0
    breaker.succeeded(probe)
    assert (breaker.state(10.0), breaker.failures()) == (CLOSED, 0)
    assert not start(breaker, 10.0).probe


def test_each_failed_probe_waits_longer_up_to_the_limit() -> None:
    breaker, now = opened(), 0.0
    for cool_down in (10.0, 20.0, 35.0, 35.0):
        assert breaker.retry_at(now) == now + cool_down
        now += cool_down
        breaker.failed(start(breaker, now), now)
    breaker = opened()
    breaker.failed(start(breaker, 10.0), 10.0)
    breaker.succeeded(start(breaker, 30.0))
    for _ in range(3):
        breaker.failed(start(breaker, 30.0), 30.0)
    assert breaker.retry_at(30.0) == 40.0  # a success starts the cool-down over


def test_results_of_an_earlier_phase_count_for_nothing() -> None:
    breaker = Breaker(POLICY)
    old = [start(breaker, 0.0) for _ in range(10)]
    for ticket in old[:3]:
        breaker.failed(ticket, 0.0)
    breaker.succeeded(old[3])
    breaker.failed(old[4], 1.0)
    assert (breaker.state(1.0), breaker.retry_at(1.0)) == (OPEN, 10.0)
    breaker.succeeded(start(breaker, 10.0))
    for ticket in old[5:]:
        breaker.failed(ticket, 11.0)
    assert (breaker.state(11.0), breaker.failures()) == (CLOSED, 0)


def test_a_probe_given_back_is_free_again() -> None:
    breaker = opened()
    probe = start(breaker, 10.0)
    breaker.abandoned(probe)
    assert breaker.state(10.0) is HALF_OPEN
    again = start(breaker, 10.0)
    breaker.failed(probe, 10.0)  # handed back already
    assert breaker.state(10.0) is HALF_OPEN
    breaker.succeeded(again)
    assert breaker.state(10.0) is CLOSED


def test_a_call_given_back_says_nothing() -> None:
    breaker = Breaker(POLICY)
    breaker.failed(start(breaker, 0.0), 0.0)
    breaker.abandoned(start(breaker, 0.0))
    assert breaker.failures() == 1


def test_a_lost_probe_counts_as_failed() -> None:
    breaker = opened()
    lost = start(breaker, 10.0)
    assert breaker.try_start(14.9) is None
    assert breaker.try_start(15.0) is None
    assert breaker.retry_at(15.0) == 35.0
    breaker.succeeded(lost)
    assert breaker.state(15.0) is OPEN
    assert start(breaker, 35.0).probe


@pytest.mark.parametrize(
    "bad",
    [
        {"failures_to_open": 0},
        {"cool_down_s": 0.0},
        {"cool_down_s": 200.0},
        {"probe_timeout_s": 0.0},
    ],
)
def test_policies_that_cannot_work(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        BreakerPolicy(**bad)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from(["start", "ok", "bad", "drop"]), st.floats(0, 8)), max_size=60))
def test_never_stuck(steps: list[tuple[str, float]]) -> None:
    """Whatever happened, some later moment lets a call through, and a success then closes it."""
    breaker, now = Breaker(POLICY), 0.0
    out: list[Ticket] = []
    for what, wait in steps:
        now += wait
        if what == "start" and (ticket := breaker.try_start(now)):
            out.append(ticket)
        elif out and what == "ok":
            breaker.succeeded(out.pop())
        elif out and what == "bad":
            breaker.failed(out.pop(), now)
        elif out and what == "drop":
            breaker.abandoned(out.pop())
        if breaker.state(now) is OPEN:
            assert breaker.try_start(now) is None
    for _ in range(3):
        now = max(now, breaker.retry_at(now) or now)
        if ticket := breaker.try_start(now):
            breaker.succeeded(ticket)
            break
    assert breaker.state(now) is CLOSED
