"""Calls that are held open until something about a payment or a bill query is known."""

import asyncio
from collections.abc import Sequence

from gateway.bus.port import TAKEN, Verdict
from gateway.core.items import Message
from gateway.core.rows import OutboxRow


class Waiters:
    """Wakes by serial. A wake without waiter is nothing; a waiter looks at the book itself afterwards."""

    def __init__(self, topic_prefix: str) -> None:
        self._topic = f"{topic_prefix}.result"
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def on_result(self, message: Message) -> Verdict:
        """A result message came over the bus; its key is the serial or token it is about, whatever its version."""
        self.wake(message.key)
        return TAKEN

    def wake_all(self) -> None:
        """Results may have gone by unheard: everybody looks."""
        for serial in tuple(self._waiting):
            self.wake(serial)

    def on_rows(self, rows: Sequence[OutboxRow]) -> None:
        """Rows committed by another process of this installation (SQLite tells every process)."""
        for row in rows:
            if row.topic == self._topic:
                self.wake(row.key)

    def wake(self, serial: str) -> None:
        """Whoever waits for this serial goes on."""
        for future in self._waiting.pop(serial, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, serial: str, seconds: float) -> None:
        """Return at the next wake of this serial, or after so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(serial, set()).add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            self._forget(serial, future)

    def _forget(self, serial: str, future: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(serial)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[serial]
