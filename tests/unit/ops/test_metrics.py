"""What Prometheus is told: names, labels, and that nothing personal is a label."""

from contracts.breaker import BreakerState
from gateway.metrics import Metrics, age_bucket


def test_everything_a_dashboard_needs_is_there() -> None:
    metrics = Metrics()
    metrics.accepts.labels("taken").inc()
    metrics.accepts.labels("insufficient-balance").inc(2)
    metrics.outcomes.labels("telecom", "Paid").inc()
    metrics.questions.labels("telecom", "Absent").inc()
    metrics.call.labels("telecom").observe(0.3)
    metrics.accept.observe(0.004)
    metrics.store_depth.set(3)
    metrics.set_breakers({"telecom": BreakerState.OPEN, "power": BreakerState.CLOSED})
    metrics.set_in_flight({"telecom": 7})
    metrics.set_in_doubt([("telecom", 1, 5), ("telecom", 1, 30), ("telecom", 3, 400_000)])
    metrics.sweeps.inc()
    metrics.seal_lag.set(2)
    text = metrics.render().decode()
    for line in (
        'bianmin_accepts_total{result="insufficient-balance"} 2.0',
        'bianmin_outcomes_total{biller="telecom",kind="Paid"} 1.0',
        'bianmin_questions_total{biller="telecom",kind="Absent"} 1.0',
        'bianmin_call_seconds_bucket{biller="telecom",le="0.5"} 1.0',
        'bianmin_accept_seconds_bucket{le="0.005"} 1.0',
        "bianmin_store_queue_depth 3.0",
        'bianmin_breaker_state{biller="telecom"} 2.0',
        'bianmin_breaker_state{biller="power"} 0.0',
        'bianmin_calls_in_flight{biller="telecom"} 7.0',
        'bianmin_in_doubt{age="10m",biller="telecom",rung="1"} 2.0',
        'bianmin_in_doubt{age="older",biller="telecom",rung="3"} 1.0',
        "bianmin_sweeps_total 1.0",
        "bianmin_seal_lag_seconds 2.0",
    ):
        assert line in text.splitlines(), line


def test_what_is_no_longer_in_doubt_disappears() -> None:
    metrics = Metrics()
    metrics.set_in_doubt([("telecom", 1, 5)])
    metrics.set_in_doubt([("power", 2, 700)])
    text = metrics.render().decode()
    assert 'biller="telecom"' not in text
    assert 'bianmin_in_doubt{age="2h",biller="power",rung="2"} 1.0' in text


def test_two_of_one_process_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.sweeps.inc()
    assert b"bianmin_sweeps_total 0.0" in second.render()


def test_ages() -> None:
    assert [age_bucket(age) for age in (0, 599, 600, 86_399, 86_400, 259_200)] == [
        "10m",
        "10m",
        "2h",
        "1d",
        "3d",
        "older",
    ]
