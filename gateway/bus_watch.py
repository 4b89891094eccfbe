"""What people who watch the gateway see of the bus: log lines and metrics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.bus.port import BusDown, BusView, Dead, Dropped
from gateway.metrics import Metrics

SAID_AGAIN_S = 30.0


class BusWatch:
    """Implements gateway.bus.notes.BusNotes. A bus that is away fails several times a second: each fault is said once
    in a while and counted every time."""

    def __init__(self, log: Any, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._log, self._metrics, self._monotonic = log, metrics, monotonic
        self._said: dict[tuple[str, str | None, str], float] = {}

    def message_dead(self, topic: str, dead: Dead) -> None:
        """A message that nobody can use; over Kafka it lies whole in the dead-letter topic."""
        self._metrics.dead_letters.labels(dead.reason).inc()
        self._log.error("message.dead", outcome=dead.reason, topic=topic, cause=dead.detail or None)

    def message_dropped(self, topic: str, dropped: Dropped) -> None:
        """A message that is worth nothing any more."""
        self._metrics.dropped.labels(dropped.cause).inc()

    def published(self, count: int, seconds: float) -> None:
        """All brokers that must have it have this batch."""
        self._metrics.published.inc(count)
        self._metrics.publish.observe(seconds)

    def producer_built(self, *, again: bool) -> None:
        """A connection to publish through; again: the one before it had failed."""
        self._said = {fault: at for fault, at in self._said.items() if fault[0] != "connect"}
        if again:
            self._metrics.producer_rebuilds.inc()
        self._log.info("bus.connected", cause="rebuilt" if again else None)

    def bus_failed(self, what: str, error: BaseException) -> None:
        """The bus, or the book while its messages were judged, did not do its part; it is tried again."""
        self._metrics.bus_failures.labels(what).inc()
        failed = error.failed if isinstance(error, BusDown) else {}
        for topic, kind in failed.items():
            self._say(what, topic, kind, None)
        if not failed:
            self._say(what, None, type(error), str(error) or None)

    def topics_compared(self, differences: Mapping[str, Sequence[str]]) -> None:
        """The topics beside what they should be, by name."""
        self._metrics.topic_differences.clear()
        for topic, found in differences.items():
            self._metrics.topic_differences.labels(topic).set(len(found))
            for difference in found:
                self._log.warning("bus.topic", topic=topic, cause=_numbers_apart(difference))

    def _say(self, what: str, topic: str | None, kind: type[BaseException], cause: str | None) -> None:
        fault, now = (what, topic, kind.__name__), self._monotonic()
        if now - self._said.get(fault, -SAID_AGAIN_S) >= SAID_AGAIN_S:
            self._said[fault] = now
            self._log.error("bus.failed", outcome=what, topic=topic, error=kind, cause=cause)

    def show(self, view: BusView) -> None:
        """Set the gauges."""
        self._metrics.bus_up.set(view.up)
        self._metrics.dead_letters_stuck.set(not view.burying)
        self._metrics.bus_lag.clear()
        for topic, count in view.lag.items():
            self._metrics.bus_lag.labels(topic).set(count)
        self._metrics.bus_paused.set(len(view.paused))


def _numbers_apart(text: str) -> tuple[str | int, ...]:
    """A text of words and limits: as text, no more than four digits would be shown."""
    pieces = text.replace(",", " ").split()
    return tuple(int(piece) if piece.removeprefix("-").isdigit() else piece for piece in pieces)
