"""The port both drivers implement (design s7)."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.core.items import Message

Handler = Callable[[Message], None]


class Bus(Protocol):
    """At least once, in no order that matters. Handlers are called on the event loop and must not block or raise."""

    def on_request(self, biller: str, handler: Handler) -> None:
        """Take this biller's request messages (orders, bill queries)."""
        ...

    def on_result(self, handler: Handler) -> None:
        """Take result messages."""
        ...

    async def open(self) -> None:
        """Begin to deliver."""
        ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the bus has them all; raises BusDown where it may not have them (then they are sent again)."""
        ...

    async def close(self) -> None:
        """Deliver nothing more."""
        ...


class BusDown(Exception):
    """The bus did not take messages, or did not say that it did."""
