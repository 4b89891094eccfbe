"""Items waiting for a free connection: one queue per unit, gathered without a timer, the longest-waiting unit first."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.core.rows import OutboxRow
from gateway.store.port import Listener, StoreBusy, StoreError, Unit, UnitFailed

_log = logging.getLogger("bianmin.store")


class Waiting:
    """One item and whoever awaits its reply. since_ms: when it was put, on the loop's clock."""

    __slots__ = ("future", "item", "since_ms")

    def __init__(self, item: Any, future: "asyncio.Future[Any]", since_ms: int) -> None:
        self.item = item
        self.future = future
        self.since_ms = since_ms

    def settle(self, reply: Any) -> None:
        """Hand over a reply, or raise a StoreError where the caller awaits; nothing where the caller has gone."""
        if self.future.done():
            return
        if isinstance(reply, StoreError):
            self.future.set_exception(reply)
        else:
            self.future.set_result(reply)


class Lanes:
    """Queues of one event loop. limit: items waiting or in hand, all lanes together."""

    def __init__(self, units: Mapping[type, Unit], limit: int) -> None:
        self._units = units
        self._limit = limit
        self._lanes: dict[Unit, deque[Waiting]] = {}
        self._hands: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._queued = 0
        self._idle: list[asyncio.Future[None]] = []

    @property
    def depth(self) -> int:
        """Items waiting or in hand."""
        return self._queued + self._taken

    def put(self, item: Any) -> "asyncio.Future[Any]":
        """Queue an item; its future. StoreBusy where the queue is full, UnitFailed for an item of no unit."""
        unit = self._units.get(type(item))
        if unit is None:
            raise UnitFailed(f"no unit takes {type(item).__name__}")
        if self.depth >= self._limit:
            raise StoreBusy(f"{self._limit} items are waiting already")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._lanes.setdefault(unit, deque()).append(Waiting(item, future, loop_ms(loop)))
        self._queued += 1
        self._wake()
        return future

    async def take(self, most: int) -> list[Waiting]:
        """Up to `most` items of the unit whose first has waited longest; waits for one. Give them back to done()."""
        while True:
            batch = self._take(most)
            if batch:
                self._taken += len(batch)
                # More may be left for another hand.
                if self._queued:
                    self._wake()
                return batch
            hand: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._hands.append(hand)
            try:
                await hand
            except asyncio.CancelledError:
                # A wake-up that this hand can no longer use belongs to another.
                if hand.done() and not hand.cancelled():
                    self._wake()
                raise

    def done(self, batch: list[Waiting]) -> None:
        """The items of take() have been settled."""
        self._taken -= len(batch)
        if not self.depth:
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)
            self._idle.clear()

    async def idle(self) -> None:
        """Wait until nothing is waiting or in hand."""
        while self.depth:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def give_up(self, error: Callable[[], StoreError], *, before_ms: int | None = None) -> int:
        """Fail what waits (only what was put before `before_ms`, if given) and is in nobody's hand; how many."""
        failed = 0
        for lane in self._lanes.values():
            while lane and (before_ms is None or lane[0].since_ms < before_ms):
                lane.popleft().settle(error())
                failed += 1
        self._queued -= failed
        self.done([])
        return failed

    def _take(self, most: int) -> list[Waiting]:
        lanes = [lane for lane in self._lanes.values() if lane]
        if not lanes:
            return []
        lane = min(lanes, key=lambda waiting: waiting[0].since_ms)
        batch: list[Waiting] = []
        while lane and len(batch) < most:
            waiting = lane.popleft()
            self._queued -= 1
            # Whoever left before the work began needs none.
            if not waiting.future.done():
                batch.append(waiting)
        return batch or self._take(most)

    def _wake(self) -> None:
        while self._hands:
            hand = self._hands.popleft()
            if not hand.done():
                hand.set_result(None)
                return


def loop_ms(loop: asyncio.AbstractEventLoop) -> int:
    """The loop's clock in whole ms."""
    return int(loop.time() * 1000)


def tell(listeners: Iterable[Listener], rows: Sequence[OutboxRow]) -> None:
    """Call each listener with the rows of a commit, if there are any."""
    if not rows:
        return
    for listener in listeners:
        try:
            listener(rows)
        except Exception:  # boundary: the commit stands, whatever a listener makes of it; the sweep finds the rows
            _log.exception("listener.failed")
