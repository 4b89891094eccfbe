"""The event loop's end of the writer's socket: one frame per loop turn out, one frame per commit in."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from gateway.store.lanes import tell
from gateway.store.port import ItemTooLarge, Listener, StoreBusy, StoreError, UnitFailed
from gateway.store.sqlite.address import socket_address
from gateway.store.sqlite.frames import ANSWERS_MAX_BYTES, FrameError, Frames, Wire

RECONNECT_MS = 200
CLOSE_MS = 30_000


class WriterClient:
    """Items to the writer process and replies back. queue_max: items that may await their reply at once.

    When the writer goes away, what was sent and not answered is in doubt; what was not yet sent is not. It is looked
    for again until close(), so a new writer on the same socket is found.
    """

    def __init__(self, path: Path, wire: Wire, *, queue_max: int) -> None:
        self._path = path
        self._wire = wire
        self._queue_max = queue_max
        self._listeners: list[Listener] = []
        self._awaited: dict[int, asyncio.Future[Any]] = {}
        self._unsent: list[tuple[int, Any]] = []
        self._number = 0
        self._link: _Link | None = None
        self._full = False
        self._scheduled = False
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._again: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. StoreBusy where no writer listens."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._connect()
        except OSError as error:
            raise StoreBusy(f"no writer listens at {self._path}: {error}") from error

    async def close(self) -> None:
        """Take nothing more, wait for what is awaited, hang up."""
        self._closing = True
        if self._awaited:
            await asyncio.wait(list(self._awaited.values()), timeout=CLOSE_MS / 1000)
        if self._again is not None:
            self._again.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._again
        if self._link is not None:
            self._link.hang_up()
            self._link = None

    def listen(self, callback: Listener) -> None:
        """See Store.listen."""
        self._listeners.append(callback)

    def depth(self) -> int:
        """Items that await their reply."""
        return len(self._awaited)

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        if self._loop is None or self._closing or self._link is None:
            raise StoreBusy("the store is closed" if self._closing else "the writer is not there")
        if len(self._awaited) >= self._queue_max:
            raise StoreBusy(f"{self._queue_max} items are waiting already")
        self._number += 1
        number = self._number
        future: asyncio.Future[Any] = self._loop.create_future()
        self._awaited[number] = future
        self._unsent.append((number, item))
        self._schedule()
        return await future

    def _schedule(self) -> None:
        if not self._scheduled and not self._full and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send everything this loop turn has gathered."""
        self._scheduled = False
        if self._link is None or self._full or not self._unsent:
            return
        items, self._unsent = self._unsent, []
        for frame in self._encode(items):
            self._link.send(frame)

    def _encode(self, items: Sequence[tuple[int, Any]]) -> list[bytes]:
        try:
            return self._wire.encode_items(items)
        except (ItemTooLarge, TypeError, ValueError, OverflowError) as error:
            if len(items) > 1:
                return [frame for item in items for frame in self._encode([item])]
            number, item = items[0]
            refused = isinstance(error, StoreError)
            self._settle(number, error if refused else UnitFailed(f"{type(item).__name__} cannot be sent: {error}"))
            return []

    def _settle(self, number: int, reply: Any) -> None:
        future = self._awaited.pop(number, None)
        if future is None or future.done():
            return
        if isinstance(reply, StoreError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    async def _connect(self) -> None:
        assert self._loop is not None, "open() sets the loop"
        with socket_address(self._path) as address:
            _, self._link = await self._loop.create_unix_connection(
                lambda: _Link(self._answered, self._lost, self._pause), address
            )
        self._full = False

    def _answered(self, frame: bytes) -> None:
        answers = self._wire.decode_answers(frame)
        for number, reply in answers.replies:
            self._settle(number, reply)
        if self._listeners:
            tell(self._listeners, self._wire.decode_outbox(answers.outbox))

    def _lost(self) -> None:
        self._link = None
        unsent = {number for number, _ in self._unsent}
        self._unsent.clear()
        for number in tuple(self._awaited):
            self._settle(number, StoreBusy("the writer went away", in_doubt=number not in unsent))
        if not self._closing and self._loop is not None:
            self._again = self._loop.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while not self._closing:
            await asyncio.sleep(RECONNECT_MS / 1000)
            with contextlib.suppress(OSError):
                await self._connect()
                return

    def _pause(self, full: bool) -> None:
        self._full = full
        if not full and self._unsent:
            self._schedule()


class _Link(asyncio.Protocol):
    """One connection to the writer."""

    def __init__(
        self, answered: Callable[[bytes], None], lost: Callable[[], None], pause: Callable[[bool], None]
    ) -> None:
        self._answered = answered
        self._lost = lost
        self._pause = pause
        self._frames = Frames(ANSWERS_MAX_BYTES)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._answered(frame)
        except FrameError:
            # Nothing after this can be trusted to be a frame; what is awaited is in doubt.
            self.hang_up()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost()

    def pause_writing(self) -> None:
        self._pause(True)

    def resume_writing(self) -> None:
        self._pause(False)

    def send(self, frame: bytes) -> None:
        """Write one frame."""
        if self._transport is not None:
            self._transport.write(frame)

    def hang_up(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
