"""What Prometheus reads of one process, on a registry of its own. No label holds a station, account or serial."""

import math
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from contracts.breaker import BreakerState
from gateway.core.allowances import Size
from gateway.flow.shares import Share

AGES: tuple[tuple[int, str], ...] = ((600, "10m"), (7_200, "2h"), (86_400, "1d"), (259_200, "3d"))
"""Ages in doubt, by their upper ends in seconds; anything older is `older`."""
_CALL_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 60)
_ACCEPT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def age_bucket(age_s: int) -> str:
    """The label of an age in doubt."""
    return next((name for limit, name in AGES if age_s < limit), "older")


class _Maker:
    """Makes what is shown on one page, each name under ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bianmin_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"bianmin_{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"bianmin_{name}", text, labels, buckets=buckets, registry=self._registry)


class Metrics:
    """Counters, gauges and histograms of one process. Times in seconds."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._audited = False

        make = _Maker(registry)
        counter, gauge, histogram = make.counter, make.gauge, make.histogram
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
        self.allowed_calls = gauge(
            "allowed_calls", "Calls at once that this process may make to a biller.", "biller", "share"
        )
        self.allowed_rate = gauge(
            "allowed_calls_per_second", "Calls a second that this process may make to a biller.", "biller", "share"
        )
        self.leases_held = gauge("leases_held", "Whether this process has the lease of a job.", "name")
        self.breaker = gauge("breaker_state", "0 closed, 1 half open, 2 open.", "biller")
        self.seal_lag = gauge("seal_lag_seconds", "Age of the oldest record that is not chained.")
        self.outbox_oldest = gauge("outbox_oldest_seconds", "Age of the oldest message that has not left.")
        self.unclaimed_oldest = gauge("unclaimed_oldest_seconds", "How long the oldest order due now waits for a call.")
        self.certificate_ends = gauge(
            "certificate_not_after_seconds",
            "Unix time at which a certificate ends; of stations, staff and partners, the first that is not renewed.",
            "role",
        )
        self.crl_ends = gauge(
            "crl_next_update_seconds",
            "Unix time at which a CA's newest revocation list ends; of a partner's CA without one 0.",
            "issuer",
        )
        self.disk_free = gauge("disk_free_ratio", "Free part of the disk this process writes to.")
        self.clock_skew = gauge("clock_skew_seconds", "The database's clock less this machine's.")
        # Not shown before the first audit: a time of 0 would look like one half a century ago.
        self.audit_at = Gauge(
            "bianmin_audit_ended_seconds", "Unix time of the newest audit of the whole book.", registry=None
        )
        self.audit_violations = gauge("audit_violations", "What the newest audit found.")
        self.book_up = gauge("book_up", "Whether the book could be read when it was last looked at.")
        self.log_refused = gauge("log_refused_lines", "Log lines replaced because they were not of the closed set.")
        self.call = histogram("call_seconds", "Calls to a biller, to its answer.", _CALL_S, "biller")
        self.accept = histogram(
            "accept_seconds", "A payment request in the book, from its queue to its commit.", _ACCEPT_S
        )
        self._make_bus(make)

    def _make_bus(self, make: "_Maker") -> None:
        self.bus_up = make.gauge("bus_up", "Whether the bus answered when it was last needed.")
        self.bus_lag = make.gauge("bus_lag", "Messages not read yet, of this process's share.", "topic")
        self.bus_paused = make.gauge("bus_paused_topics", "Topics held back because their biller's lane is full.")
        self.dead_letters_stuck = make.gauge(
            "dead_letters_stuck", "Whether the last dead letter could not be put away."
        )
        self.topic_differences = make.gauge("topic_differences", "How a topic was not as wanted at the start.", "topic")
        self.published = make.counter("published_total", "Messages the bus has taken.")
        self.dead_letters = make.counter("dead_letters_total", "Messages that nobody can use.", "reason")
        self.dropped = make.counter("dropped_messages_total", "Messages that were worth nothing any more.", "cause")
        self.producer_rebuilds = make.counter(
            "producer_rebuilds_total", "Publishing connections that had to be replaced."
        )
        self.bus_failures = make.counter("bus_failures_total", "Faults of the bus that were dealt with.", "what")
        self.publish = make.histogram("publish_seconds", "A batch of messages, until the bus has it.", _ACCEPT_S)

    def set_in_doubt(self, found: Iterable[tuple[str, int, int]]) -> None:
        """Replace the gauge by what is in doubt now: (biller, rung, age in seconds) of each payment."""
        counts: dict[tuple[str, str, str], int] = {}
        for biller, rung, age_s in found:
            place = (biller, str(rung), age_bucket(age_s))
            counts[place] = counts.get(place, 0) + 1
        self.in_doubt.clear()
        for place, count in counts.items():
            self.in_doubt.labels(*place).set(count)

    def set_book_away(self) -> None:
        """The book cannot be read: what was read from it is not so any more."""
        self.book_up.set(0)
        for stale in (self.seal_lag, self.outbox_oldest, self.unclaimed_oldest):
            stale.set(math.nan)

    def set_alarms(self, found: Mapping[str, int]) -> None:
        """Replace the gauge by what nobody has looked at yet, by kind."""
        self.alarms.clear()
        for kind, count in found.items():
            self.alarms.labels(kind).set(count)

    def set_audit(self, at_ms: int, violations: int) -> None:
        """When the newest audit ended, and what it found."""
        if not self._audited:
            self._registry.register(self.audit_at)
            self._audited = True
        self.audit_at.set(at_ms / 1000)
        self.audit_violations.set(violations)

    def set_breakers(self, states: Mapping[str, BreakerState]) -> None:
        """State of each biller's breaker."""
        for biller, state in states.items():
            self.breaker.labels(biller).set(_BREAKER[state])

    def set_allowed(self, shares: Iterable[Share]) -> None:
        """What this process may use of each biller now."""
        for share in shares:
            limits = share.limits() if share.good() else Size(0, 0)
            self.allowed_calls.labels(share.biller, share.name).set(limits.concurrency)
            self.allowed_rate.labels(share.biller, share.name).set(limits.rate_per_s)

    def set_leases(self, held: Mapping[str, bool]) -> None:
        """Which of the jobs this process could do it does."""
        for name, ours in held.items():
            self.leases_held.labels(name).set(ours)

    def set_in_flight(self, calls: Mapping[str, int]) -> None:
        """Calls running now, by biller."""
        for biller, count in calls.items():
            self.calls_in_flight.labels(biller).set(count)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
