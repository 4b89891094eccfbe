"""Brings the dead-letter topic into the book, where people find it: offsets are committed once the rows are there.

One process does it at a time; where two do for a moment, the book keeps each letter once, by where its record lies.
"""

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer

from contracts.clock import Clock
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.lags import Lags
from gateway.bus.kafka.requests import POLL_MS, close
from gateway.bus.kafka.stepping import UNPARSABLE, Unreadable, behind, read_singly, rewind
from gateway.bus.port import Keep
from gateway.core.letters import FoundLetter

RECORDS_AT_ONCE = 200
LOOK_AGAIN_S = 1.0
_OWN = ("reason", "detail", "topic", "partition", "offset", "timestamp", "worker", "value_bytes", "value_sha256")


class LettersReader:
    """Reads the dead-letter topic while it is ours to do, until it is told to stop."""

    def __init__(self, config: KafkaConfig, client_id: str, keep: Keep, ours: Callable[[], bool], clock: Clock) -> None:
        self._config, self._client_id = config, client_id
        self._keep, self._ours, self._clock = keep, ours, clock
        self._stopping = False
        self.lags = Lags(clock)

    def stop(self) -> None:
        """End the session after the batch in hand."""
        self._stopping = True

    async def session(self) -> None:
        """Bring what there is. Raises KafkaError, OSError or StoreError where it must begin anew."""
        if not self._ours():
            await self._clock.sleep(LOOK_AGAIN_S)
            return
        consumer = AIOKafkaConsumer(
            self._config.dead_letter_topic,
            **self._config.connection(self._client_id),
            group_id=self._config.letters_group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=RECORDS_AT_ONCE,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
        )
        try:
            await consumer.start()
            while not self._stopping and self._ours():
                await self._poll(consumer)
                await self.lags.look(consumer)
        finally:
            await close(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        try:
            polled = await consumer.getmany(timeout_ms=POLL_MS)
        except UNPARSABLE:
            await self._step_over(consumer)
            return
        await self._bring(consumer, polled)

    async def _step_over(self, consumer: AIOKafkaConsumer) -> None:
        """What the client cannot parse is a letter without a body; it stays where it lies."""
        await rewind(consumer)
        for place in await behind(consumer):
            records = await read_singly(consumer, place, RECORDS_AT_ONCE)
            if not records:
                continue
            await self._bring(consumer, {place: records})
            if isinstance(records[-1], Unreadable):
                consumer.seek(place, records[-1].offset + 1)
                return

    async def _bring(self, consumer: AIOKafkaConsumer, polled: Any) -> None:
        records = [record for found in polled.values() for record in found]
        if records:
            await self._keep([found_letter(record) for record in records])
            await consumer.commit({place: found[-1].offset + 1 for place, found in polled.items()})


def found_letter(record: Any) -> FoundLetter:
    """What a record of the dead-letter topic says: ours are the last headers of their names.

    One that nobody of ours has put there has none of them: it is where it lies, and malformed.
    """
    headers = [(name, _text(value)) for name, value in record.headers]
    own = {name: value for name, value in headers if name in _OWN}
    place = ("topic", "partition", "offset", "timestamp")
    whole = all(own.get(name) for name in (*place, "reason"))
    # With its time: a topic that was made anew counts its records from 0 again.
    topic, partition, offset, at = (own[n] for n in place) if whole else _place(record)
    return FoundLetter(
        origin=f"kafka:{topic}/{partition}/{offset}@{at}",
        topic=topic,
        key=_text(record.key),
        body=record.value or b"",
        reason=own["reason"] if whole else "malformed",
        headers=headers,
        buried_at=record.timestamp if record.timestamp >= 0 else None,
        worker=own.get("worker", ""),
    )


def _place(record: Any) -> Sequence[str]:
    return record.topic, str(record.partition), str(record.offset), str(record.timestamp)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")
