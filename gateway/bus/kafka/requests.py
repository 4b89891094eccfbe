"""Requests: one group of all workers, offsets committed once the book has been asked (design s3.3, libraries s4.4).

The poll loop never waits for a biller. A biller whose lane is full has its partitions paused, the others go on; while
the book or the dead-letter topic is away everything is paused and polled all the same, so that the group keeps us.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from contracts.clock import Clock
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.lags import Lags
from gateway.bus.kafka.stepping import UNPARSABLE, Unreadable, behind, read_singly, rewind
from gateway.bus.kafka.taking import Progress, Subscriber, Taking
from gateway.bus.notes import BusNotes
from gateway.bus.port import BusDown
from gateway.store.port import StoreError

POLL_MS = 200
RECORDS_AT_ONCE = 500
RESUME_ROOM = 1_000
STALL_S = 0.5
TAKE_S = 30.0
COMMIT_S = 10.0
REVOKED_COMMIT_S = 3.0
CLOSE_S = 8.0


class RequestsReader:
    """Reads the request topics as a member of the group, until it is told to stop."""

    def __init__(
        self,
        config: KafkaConfig,
        client_id: str,
        subscribers: Mapping[str, Subscriber],
        taking: Taking,
        *,
        clock: Clock,
        notes: BusNotes,
    ) -> None:
        self._config, self._client_id = config, client_id
        self._subscribers, self._taking = subscribers, taking
        self._clock, self._notes = clock, notes
        self._busy = asyncio.Lock()
        self._taken: dict[TopicPartition, int] = {}
        self._full: set[str] = set()
        self._stalled_until = 0.0
        self._stopping = False
        self.lags = Lags(clock)

    def paused(self) -> frozenset[str]:
        """Topics that wait because their biller's lane is full."""
        return frozenset(self._full)

    def stop(self) -> None:
        """End the session after the batch in hand."""
        self._stopping = True

    async def session(self) -> None:
        """Join, and read until told to stop. Raises KafkaError or OSError where the connection is of no more use."""
        consumer = self._consumer()
        try:
            await consumer.start()
            consumer.subscribe(list(self._subscribers), listener=_Listener(self, consumer))
            while not self._stopping:
                self._apply_pauses(consumer)
                await self._poll(consumer)
                await self.lags.look(consumer)
        finally:
            self._taken.clear()
            await close(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        try:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
        except UNPARSABLE:
            await self._step_over(consumer)
            return
        if polled:
            await self._take(consumer, polled)

    async def _step_over(self, consumer: AIOKafkaConsumer) -> None:
        """Pass over the first record that cannot be parsed, taking what lies before it."""
        await rewind(consumer)
        for place in await behind(consumer):
            records = await read_singly(consumer, place, RECORDS_AT_ONCE)
            if not records or not await self._take(consumer, {place: records}):
                continue
            if isinstance(records[-1], Unreadable):
                _seek(consumer, {place: records[-1].offset + 1})
                return

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._config.connection(self._client_id),
            group_id=self._config.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=RECORDS_AT_ONCE,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=30_000,
        )

    def _apply_pauses(self, consumer: AIOKafkaConsumer) -> None:
        """The client forgets pauses at every rebalance, so they are laid anew before each poll."""
        self._full = {topic for topic in self._full if self._subscribers[topic].room() < RESUME_ROOM}
        stalled = self._clock.monotonic() < self._stalled_until
        held = {place for place in consumer.assignment() if stalled or place.topic in self._full}
        now = consumer.paused()
        if held - now:
            consumer.pause(*(held - now))
        if now - held:
            consumer.resume(*(now - held))

    async def _take(self, consumer: AIOKafkaConsumer, polled: Any) -> bool:
        """Whether all of it is taken; what is not is read again later."""
        async with self._busy:
            try:
                async with asyncio.timeout(TAKE_S):
                    progress = await self._taking.take(polled)
            except (StoreError, BusDown, TimeoutError) as error:
                self._notes.bus_failed("take", error)
                self._stalled_until = self._clock.monotonic() + STALL_S
                _seek(consumer, {place: records[0].offset for place, records in polled.items()})
                return False
            self._hold_back(consumer, progress)
            self._taken |= {place: found.next_offset for place, found in progress.items()}
            await self._commit(consumer, COMMIT_S)
            return not any(found.full for found in progress.values())

    def _hold_back(self, consumer: AIOKafkaConsumer, progress: Mapping[TopicPartition, Progress]) -> None:
        full = {place: found.next_offset for place, found in progress.items() if found.full}
        self._full.update(place.topic for place in full)
        _seek(consumer, full)

    async def _commit(self, consumer: AIOKafkaConsumer, seconds: float) -> None:
        """What is taken, of partitions that are still ours. One that fails costs a redelivery, which drops them."""
        ours = consumer.assignment()
        offsets = {place: offset for place, offset in self._taken.items() if place in ours}
        self._taken.clear()
        if not offsets:
            return
        try:
            async with asyncio.timeout(seconds):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._taken = offsets | self._taken
            self._notes.bus_failed("commit", error)

    async def revoked(self, consumer: AIOKafkaConsumer) -> None:
        """The batch in hand ends, what is taken is committed; then others may have the partitions."""
        async with self._busy:
            await self._commit(consumer, REVOKED_COMMIT_S)
            self._taken.clear()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # ships no types
    """Hears of rebalances."""

    def __init__(self, reader: RequestsReader, consumer: AIOKafkaConsumer) -> None:
        self._reader, self._consumer = reader, consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._reader.revoked(self._consumer)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pauses are laid anew before the next poll."""


def _seek(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    for place, offset in offsets.items():
        try:
            consumer.seek(place, offset)
        except IllegalStateError:
            continue  # another member has it now, and begins where we committed


async def close(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close, in bounded time."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await consumer.stop()
    except Exception:  # boundary: a client that was interrupted may raise anything; its connection goes all the same
        await consumer._client.close()
