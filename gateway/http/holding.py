"""Who is being decided, who is held open, and which keys are on their way into the book."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from contracts.clock import Clock
from gateway.http.services import Limits
from gateway.store.port import StoreError

T = TypeVar("T")
FIRST_LOOK_S = 0.25
LOOK_EVERY_S = 8.0
"""A wake may be missed (another process, a bus that lags), so a held call looks by itself, less and less often."""


class Holding:
    """Counts of one process. in_flight: requests being decided; a held call is not among them."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock, self._limits = clock, limits
        self.in_flight = 0
        self.held = 0
        self._draining = False
        self._waits: set[asyncio.Task[None]] = set()

    def full(self) -> bool:
        """Whether one more request is one too many."""
        return self.in_flight >= self._limits.in_flight

    def drain(self) -> None:
        """Let every held call answer with what it knows now."""
        self._draining = True
        for wait in tuple(self._waits):
            wait.cancel()

    async def until(
        self,
        done: Callable[[T], bool],
        found: T,
        *,
        seconds: float,
        wait: Callable[[float], Coroutine[Any, Any, None]],
        look: Callable[[], Awaitable[T | None]],
    ) -> T:
        """Hold until done(found) or so many seconds; look() gives what is known now, None where it cannot be had."""
        if done(found) or seconds <= 0 or self.held >= self._limits.held:
            return found
        self.in_flight -= 1
        self.held += 1
        try:
            until, each = self._clock.monotonic() + seconds, FIRST_LOOK_S
            while not self._draining and (left := until - self._clock.monotonic()) > 0:
                await self._wait(wait(min(left, each)))
                each = min(each * 2, LOOK_EVERY_S)
                found = await self._look(look, found)
                if done(found):
                    break
        finally:
            self.held -= 1
            self.in_flight += 1
        return found

    async def _wait(self, wait: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(wait)
        self._waits.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._waits.discard(task)
            task.cancel()
        if not task.cancelled():
            task.result()

    async def _look(self, look: Callable[[], Awaitable[T | None]], found: T) -> T:
        try:
            seen = await look()
        except StoreError:
            # What was found is true and durable; a store that is busy now takes nothing from it.
            return found
        return found if seen is None else seen


class Deciding:
    """Keys of requests that are on their way into the book: an inquiry waits for them (api s1)."""

    def __init__(self) -> None:
        self._running: dict[str, set[asyncio.Future[None]]] = {}

    def begin(self, key: str) -> asyncio.Future[None]:
        """A request under this key is given to the store. Give the future back with `end`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.setdefault(key, set()).add(future)
        return future

    def end(self, key: str, future: asyncio.Future[None]) -> None:
        """It is decided, or will not be."""
        future.set_result(None)
        running = self._running[key]
        running.discard(future)
        if not running:
            del self._running[key]

    async def settled(self, key: str) -> None:
        """Wait for those that were begun before. Keys of other stations may be among them: they cost a moment."""
        running = self._running.get(key)
        if running:
            await asyncio.wait(tuple(running))
