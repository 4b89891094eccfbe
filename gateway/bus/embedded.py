"""The bus of one process: a published message is handed to its handlers at once. Durable is the outbox, not this."""

from collections.abc import Callable, Sequence

from gateway.bus.notes import BusNotes, Unheard
from gateway.bus.port import BusView, Dead, Handler, always_room
from gateway.core.items import Message


class EmbeddedBus:
    """See Bus. topic_prefix: as in the core's Env."""

    def __init__(self, topic_prefix: str, notes: BusNotes | None = None) -> None:
        self._prefix = topic_prefix
        self._notes = notes or Unheard()
        self._handlers: dict[str, Handler] = {}
        self._open = False

    def on_request(self, biller: str, handler: Handler, room: Callable[[], int] = always_room) -> None:
        """See Bus.on_request. room is not asked: what finds none is left to the sweep."""
        self._handlers[f"{self._prefix}.request.{biller}"] = handler

    def on_result(self, handler: Handler, missed: Callable[[], None]) -> None:
        """See Bus.on_result. Nothing is ever missed."""
        self._handlers[f"{self._prefix}.result"] = handler

    async def open(self) -> None:
        """See Bus.open."""
        self._open = True

    async def publish(self, messages: Sequence[Message]) -> None:
        """See Bus.publish. A topic without handler is a biller that is configured no more: its orders expire.

        Dead messages are only told: their rows are our own and stay in the outbox table.
        """
        for message in messages:
            handler = self._handlers.get(message.topic)
            if handler is not None and self._open:
                verdict = handler(message)
                if isinstance(verdict, Dead):
                    self._notes.message_dead(message.topic, verdict)

    async def leave(self) -> None:
        """See Bus.leave."""
        self._handlers = {topic: handler for topic, handler in self._handlers.items() if topic.endswith(".result")}

    def view(self) -> BusView:
        """See Bus.view."""
        return BusView(up=self._open)

    async def close(self) -> None:
        """See Bus.close."""
        self._open = False
