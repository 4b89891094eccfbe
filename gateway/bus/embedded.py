"""The bus of one process: a published message is handed to its handlers at once. Durable is the outbox, not this."""

from collections.abc import Sequence

from gateway.bus.port import Handler
from gateway.core.items import Message


class EmbeddedBus:
    """See Bus. topic_prefix: as in the core's Env."""

    def __init__(self, topic_prefix: str) -> None:
        self._prefix = topic_prefix
        self._handlers: dict[str, Handler] = {}
        self._open = False

    def on_request(self, biller: str, handler: Handler) -> None:
        """See Bus.on_request."""
        self._handlers[f"{self._prefix}.request.{biller}"] = handler

    def on_result(self, handler: Handler) -> None:
        """See Bus.on_result."""
        self._handlers[f"{self._prefix}.result"] = handler

    async def open(self) -> None:
        """See Bus.open."""
        self._open = True

    async def publish(self, messages: Sequence[Message]) -> None:
        """See Bus.publish. A topic without handler is a biller that is configured no more: its orders expire."""
        for message in messages:
            handler = self._handlers.get(message.topic)
            if handler is not None and self._open:
                handler(message)

    async def close(self) -> None:
        """See Bus.close."""
        self._open = False
