"""The relay: outbox rows leave after their commit, at least once (design s3.2).

Rows of this process are told by the store as they commit. Those of other processes, and what was missed (a crash, a
publish without an answer, another command's write), are found again by their missing `published_at`, never by a
high-water mark: by the process that holds the relay's lease, so that they are not sent by all.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from contracts.clock import Clock
from gateway.bus.port import Bus, BusDown
from gateway.core.held import Held
from gateway.core.items import MarkPublished, Message, Outbox, TakeOutbox
from gateway.core.rows import OutboxRow
from gateway.flow.crash_points import CrashPoint, CrashPoints
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Store, StoreError

BATCH = 500
LOOK_AGAIN_S = 1.0
MISSED_AFTER_MS = 3_000
BUSY_S, IDLE_S = 0.02, 0.1
FLUSH_STEPS, FLUSH_STEP_S = 40, 0.05
LATELY = 10_000


class Relay:
    """One per process that runs the relay role.

    lease: that of the relay, while it is ours. missed_after_ms: how old rows are that others are thought to have
    missed; 0: others leave theirs to us, so they are looked for many times a second.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Clock,
        crash: CrashPoints,
        tasks: TaskGroup,
        *,
        lease: Callable[[], Held | None],
        missed_after_ms: int = MISSED_AFTER_MS,
    ) -> None:
        self._store, self._bus, self._clock, self._crash, self._tasks = store, bus, clock, crash, tasks
        self._lease, self._missed_after_ms = lease, missed_after_ms
        self._queue: list[Message] = []
        self._known: set[str] = set()
        self._lately: deque[str] = deque(maxlen=LATELY)
        self._wake = asyncio.Event()
        self._idle_s = BUSY_S
        self.told: Callable[[Sequence[OutboxRow]], None] = self._told

    def start(self) -> None:
        """Begin to publish what commits, and what was missed."""
        self._store.listen(self.told)
        self._tasks.for_ever("relay", self._publish_told, self._clock, again_s=(LOOK_AGAIN_S,))
        self._tasks.for_ever("relay.missed", self._publish_missed, self._clock, again_s=(LOOK_AGAIN_S,))

    def depth(self) -> int:
        """Messages committed and not yet marked as published."""
        return len(self._known)

    async def flush(self) -> None:
        """Wait, not for long, until what this process has committed is out; the rest is found by whoever comes."""
        for _ in range(FLUSH_STEPS):
            if not self._known:
                return
            await self._clock.sleep(FLUSH_STEP_S)

    def _told(self, rows: Sequence[OutboxRow]) -> None:
        if self._new(
            [Message(message_id=r.message_id, topic=r.topic, key=r.key, payload=r.payload) for r in rows], self._queue
        ):
            self._wake.set()

    def _new(self, messages: Sequence[Message], into: list[Message]) -> int:
        """Put those that are not under way already; how many."""
        fresh = [message for message in messages if message.message_id not in self._known]
        self._known.update(message.message_id for message in fresh)
        into.extend(fresh)
        return len(fresh)

    async def _publish_told(self) -> float:
        """One batch of what committed here; after a turn that failed nobody need wake it."""
        while not self._queue:
            await self._wake.wait()
            self._wake.clear()
        batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        return 0 if await self._publish(batch) else LOOK_AGAIN_S

    async def _publish(self, batch: list[Message]) -> bool:
        """Put out, then marked. False: the bus or the book did not take all; what is left is found again."""
        ids = [message.message_id for message in batch]
        done = True
        try:
            self._crash.reach(CrashPoint.RELAY_BEFORE_PUBLISH)
            out = ids
            try:
                await self._bus.publish(batch)
            except BusDown as down:
                out, done = [each for each in ids if each in down.taken], False
            self._crash.reach(CrashPoint.RELAY_BEFORE_MARK)
            if out:
                await self._store.run(MarkPublished(message_ids=out))
                self._lately.extend(out)
        except StoreError:
            done = False
        finally:
            self._known.difference_update(ids)
        return done

    async def _publish_missed(self) -> float:
        """One look; how long until the next is due."""
        found, done = await self._find()
        self._idle_s = BUSY_S if found else min(2 * self._idle_s, IDLE_S)
        if found >= BATCH and done:
            return 0
        return LOOK_AGAIN_S if self._missed_after_ms or not done else self._idle_s

    async def _find(self) -> tuple[int, bool]:
        """One look, and what it finds put out. How many were new, and whether all went well."""
        under = self._lease()
        if under is None:
            return 0, True
        try:
            taken = await self._store.run(TakeOutbox(older_than_ms=self._missed_after_ms, limit=BATCH, under=under))
        except StoreError:
            return 0, False
        if not isinstance(taken, Outbox) or not taken.messages:
            return 0, True
        batch: list[Message] = []
        # A row that this process itself has put out since the look need not go again.
        lately = set(self._lately)
        self._new([message for message in taken.messages if message.message_id not in lately], batch)
        return len(batch), not batch or await self._publish(batch)
