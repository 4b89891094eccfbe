"""The bus of one process: a published message is handed to its handlers at once. Durable is the outbox, not this."""

from collections.abc import Callable, Sequence

from gateway.bus.notes import BusNotes, Unheard
from gateway.bus.port import BusDown, BusView, Dead, Handler, Keep, always_room
from gateway.core.items import Message
from gateway.core.letters import FoundLetter
from gateway.store.port import StoreError


class EmbeddedBus:
    """See Bus. topic_prefix: as in the core's Env."""

    def __init__(self, topic_prefix: str, notes: BusNotes | None = None) -> None:
        self._prefix = topic_prefix
        self._notes = notes or Unheard()
        self._handlers: dict[str, Handler] = {}
        self._keep: Keep | None = None
        self._open = False

    def on_request(self, biller: str, handler: Handler, room: Callable[[], int] = always_room) -> None:
        """See Bus.on_request. room is not asked: what finds none is left to the sweep."""
        self._handlers[f"{self._prefix}.request.{biller}"] = handler

    def on_result(self, handler: Handler, missed: Callable[[], None]) -> None:
        """See Bus.on_result. Nothing is ever missed."""
        self._handlers[f"{self._prefix}.result"] = handler

    def on_dead(self, keep: Keep, ours: Callable[[], bool]) -> None:
        """See Bus.on_dead. Each process keeps its own: ours is not asked."""
        self._keep = keep

    async def open(self) -> None:
        """See Bus.open."""
        self._open = True

    async def publish(self, messages: Sequence[Message]) -> None:
        """See Bus.publish. A topic without handler is a biller that is configured no more: its orders expire.

        Dead messages are kept before it returns, so none counts as published that is not in the book as a letter.
        """
        found: dict[str, FoundLetter] = {}
        for message in messages:
            handler = self._handlers.get(message.topic)
            if handler is not None and self._open:
                verdict = handler(message)
                if isinstance(verdict, Dead):
                    self._notes.message_dead(message.topic, verdict)
                    found[message.message_id] = _letter(message, verdict)
        if found and self._keep is not None:
            try:
                await self._keep(list(found.values()))
            except StoreError as error:
                taken = [message.message_id for message in messages if message.message_id not in found]
                raise BusDown("dead messages cannot be kept", taken) from error

    async def leave(self) -> None:
        """See Bus.leave."""
        self._handlers = {topic: handler for topic, handler in self._handlers.items() if topic.endswith(".result")}

    def view(self) -> BusView:
        """See Bus.view."""
        return BusView(up=self._open)

    async def close(self) -> None:
        """See Bus.close."""
        self._open = False


def _letter(message: Message, dead: Dead) -> FoundLetter:
    return FoundLetter(
        origin=f"embedded:{message.message_id}",
        topic=message.topic,
        key=message.key,
        body=message.payload,
        reason=dead.reason,
        headers=[("detail", dead.detail)] if dead.detail else [],
    )
