"""What people who watch the gateway see of the bus: log lines and metrics."""

from collections.abc import Callable
from typing import Any

from gateway.bus.port import BusView, Dead, Dropped
from gateway.metrics import Metrics

SAID_AGAIN_S = 30.0


class BusWatch:
    """Implements gateway.bus.notes.BusNotes. A bus that is away fails several times a second: each fault is said once
    in a while and counted every time."""

    def __init__(self, log: Any, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._log, self._metrics, self._monotonic = log, metrics, monotonic
        self._said: dict[str, float] = {}

    def message_dead(self, topic: str, dead: Dead) -> None:
        """A message that nobody can use; over Kafka it lies whole in the dead-letter topic."""
        self._metrics.dead_letters.labels(dead.reason).inc()
        self._log.error("message.dead", outcome=dead.reason, cause=f"{topic}: {dead.detail}")

    def message_dropped(self, topic: str, dropped: Dropped) -> None:
        """A message that is worth nothing any more."""
        self._metrics.dropped.labels(dropped.cause).inc()

    def published(self, count: int, seconds: float) -> None:
        """All brokers that must have it have this batch."""
        self._metrics.published.inc(count)
        self._metrics.publish.observe(seconds)

    def producer_built(self, *, again: bool) -> None:
        """A connection to publish through; again: the one before it had failed."""
        self._said.clear()
        if again:
            self._metrics.producer_rebuilds.inc()
        self._log.info("bus.connected", cause="rebuilt" if again else None)

    def bus_failed(self, what: str, error: BaseException) -> None:
        """The bus, or the book while its messages were judged, did not do its part; it is tried again."""
        self._metrics.bus_failures.labels(what).inc()
        kind, now = f"{what} {type(error).__name__}", self._monotonic()
        if now - self._said.get(kind, -SAID_AGAIN_S) >= SAID_AGAIN_S:
            self._said[kind] = now
            self._log.error("bus.failed", cause=f"{kind}: {error}")

    def show(self, view: BusView) -> None:
        """Set the gauges."""
        self._metrics.bus_up.set(view.up)
        self._metrics.bus_lag.clear()
        for topic, count in view.lag.items():
            self._metrics.bus_lag.labels(topic).set(count)
        self._metrics.bus_paused.set(len(view.paused))
