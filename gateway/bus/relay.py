"""The relay: outbox rows leave after their commit, at least once (design s3.2).

Rows are told by the store as they commit; what was missed (a crash, another command's write) is found again by its
missing `published_at`. A publish without an answer is in doubt and is sent again.
"""

import asyncio
from collections.abc import Callable, Sequence

from contracts.clock import Clock
from gateway.bus.port import Bus, BusDown
from gateway.core.items import MarkPublished, Message, Outbox, TakeOutbox
from gateway.core.rows import OutboxRow
from gateway.flow.crash_points import CrashPoint, CrashPoints
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Store, StoreError

BATCH = 500
LOOK_AGAIN_S = 1.0
MISSED_AFTER_MS = 3_000


class Relay:
    """One per process that runs the relay role."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, crash: CrashPoints, tasks: TaskGroup) -> None:
        self._store, self._bus, self._clock, self._crash, self._tasks = store, bus, clock, crash, tasks
        self._queue: list[Message] = []
        self._known: set[str] = set()
        self._wake = asyncio.Event()
        self.told: Callable[[Sequence[OutboxRow]], None] = self._told

    def start(self) -> None:
        """Begin to publish what commits, and what was missed."""
        self._store.listen(self.told)
        self._tasks.start("relay", self._publish_for_ever())
        self._tasks.start("relay.missed", self._find_missed_for_ever())

    def depth(self) -> int:
        """Messages committed and not yet marked as published."""
        return len(self._known)

    def _told(self, rows: Sequence[OutboxRow]) -> None:
        self._take([Message(message_id=r.message_id, topic=r.topic, key=r.key, payload=r.payload) for r in rows])

    def _take(self, messages: Sequence[Message]) -> None:
        fresh = [message for message in messages if message.message_id not in self._known]
        self._known.update(message.message_id for message in fresh)
        self._queue.extend(fresh)
        if fresh:
            self._wake.set()

    async def _publish_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                await self._publish(batch)

    async def _publish(self, batch: list[Message]) -> None:
        ids = [message.message_id for message in batch]
        try:
            self._crash.reach(CrashPoint.RELAY_BEFORE_PUBLISH)
            await self._bus.publish(batch)
            self._crash.reach(CrashPoint.RELAY_BEFORE_MARK)
            await self._store.run(MarkPublished(message_ids=ids))
        except (BusDown, StoreError):
            await self._clock.sleep(LOOK_AGAIN_S)
        finally:
            self._known.difference_update(ids)

    async def _find_missed_for_ever(self) -> None:
        while True:
            try:
                found = await self._store.run(TakeOutbox(older_than_ms=MISSED_AFTER_MS, limit=BATCH))
                if isinstance(found, Outbox):
                    self._take(found.messages)
            except StoreError:
                pass  # the next look finds them
            await self._clock.sleep(LOOK_AGAIN_S)
