"""What a bus tells the people who watch it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.bus.port import Dead, Dropped


class BusNotes(Protocol):
    """Logs and metrics; nothing here may raise."""

    def message_dead(self, topic: str, dead: Dead) -> None: ...
    def message_dropped(self, topic: str, dropped: Dropped) -> None: ...
    def published(self, count: int, seconds: float) -> None: ...
    def producer_built(self, *, again: bool) -> None: ...
    def bus_failed(self, what: str, error: BaseException) -> None: ...
    def topics_compared(self, differences: Mapping[str, Sequence[str]]) -> None: ...


class Unheard:
    """Implements BusNotes for whoever watches nothing."""

    def message_dead(self, topic: str, dead: Dead) -> None:
        """See BusNotes."""

    def message_dropped(self, topic: str, dropped: Dropped) -> None:
        """See BusNotes."""

    def published(self, count: int, seconds: float) -> None:
        """See BusNotes."""

    def producer_built(self, *, again: bool) -> None:
        """See BusNotes."""

    def bus_failed(self, what: str, error: BaseException) -> None:
        """See BusNotes."""

    def topics_compared(self, differences: Mapping[str, Sequence[str]]) -> None:
        """See BusNotes."""
