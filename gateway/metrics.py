"""What Prometheus reads of one process, on a registry of its own. No label holds a station, account or serial."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from contracts.breaker import BreakerState

AGES: tuple[tuple[int, str], ...] = ((600, "10m"), (7_200, "2h"), (86_400, "1d"), (259_200, "3d"))
"""Ages in doubt, by their upper ends in seconds; anything older is `older`."""
_CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 60)
_ACCEPT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def age_bucket(age_s: int) -> str:
    """The label of an age in doubt."""
    return next((name for limit, name in AGES if age_s < limit), "older")


class Metrics:
    """Counters, gauges and histograms of one process. Times in seconds."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"bianmin_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"bianmin_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"bianmin_{name}", text, labels, buckets=buckets, registry=registry)

        self.accepts = counter("accepts_total", "Payment requests by result: taken, replayed, or a problem.", "result")
        self.outcomes = counter("outcomes_total", "Answers of billers to calls.", "biller", "kind")
        self.questions = counter("questions_total", "Questions asked about orders in doubt.", "biller", "kind")
        self.moves = counter("moves_total", "Changes of payments' states.", "biller", "state")
        self.sweeps = counter("sweeps_total", "Sweeps of the book.")
        self.swept = counter("swept_total", "Orders a sweep ended or marked.", "what")
        self.sealed = counter("sealed_records_total", "Records chained by the sealer.")
        self.failures = counter("failures_total", "Faults that were dealt with, by the event that was logged.", "event")
        self.in_doubt = gauge(
            "in_doubt", "Payments only evidence can decide, by age and rung.", "biller", "rung", "age"
        )
        self.alarms = gauge("alarms", "Alarms that nobody has looked at yet.", "kind")
        self.store_depth = gauge("store_queue_depth", "Items that wait for the book.")
        self.calls_in_flight = gauge("calls_in_flight", "Calls to a biller now.", "biller")
        self.breaker = gauge("breaker_state", "0 closed, 1 half open, 2 open.", "biller")
        self.seal_lag = gauge("seal_lag_seconds", "Age of the oldest record that is not chained.")
        self.log_refused = gauge("log_refused_lines", "Log lines replaced because they were not of the closed set.")
        self.call = histogram("call_seconds", "Calls to a biller, to its answer.", _CALL_S, "biller")
        self.accept = histogram(
            "accept_seconds", "A payment request in the book, from its queue to its commit.", _ACCEPT_S
        )

    def set_in_doubt(self, found: Iterable[tuple[str, int, int]]) -> None:
        """Replace the gauge by what is in doubt now: (biller, rung, age in seconds) of each payment."""
        counts: dict[tuple[str, str, str], int] = {}
        for biller, rung, age_s in found:
            place = (biller, str(rung), age_bucket(age_s))
            counts[place] = counts.get(place, 0) + 1
        self.in_doubt.clear()
        for place, count in counts.items():
            self.in_doubt.labels(*place).set(count)

    def set_alarms(self, found: Mapping[str, int]) -> None:
        """Replace the gauge by what nobody has looked at yet, by kind."""
        self.alarms.clear()
        for kind, count in found.items():
            self.alarms.labels(kind).set(count)

    def set_breakers(self, states: Mapping[str, BreakerState]) -> None:
        """State of each biller's breaker."""
        for biller, state in states.items():
            self.breaker.labels(biller).set(_BREAKER[state])

    def set_in_flight(self, calls: Mapping[str, int]) -> None:
        """Calls running now, by biller."""
        for biller, count in calls.items():
            self.calls_in_flight.labels(biller).set(count)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
