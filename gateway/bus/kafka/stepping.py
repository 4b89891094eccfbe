"""Records that the client itself cannot parse (a header's name that is no UTF-8, a codec that is not installed).

The client gives no bytes of them and does not say where they lie: it raises, again and again, at the first of them in
any partition, and everything behind waits. So each partition is read one record at a time until the culprit's offset
is known. Such a record stays where it lies; its dead letter says where that is. The client parses batches whole: what
stands behind it in the same batch cannot be read either, and the sweep finds those orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.structs import TopicPartition

LOOK_MS = 700
"""Longer than a fetch of other partitions from the same broker may hang (500 ms): ours begins after it."""
UNPARSABLE = (CorruptRecordException, UnsupportedCodecError, ValueError)
"""What the client raises for them; its compiled parts let Python's own errors through."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for such a record, with what is known of it."""

    topic: str
    partition: int
    offset: int
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


async def rewind(consumer: AIOKafkaConsumer) -> None:
    """Back to what is committed: a poll that raises has moved on in partitions whose records it gave to nobody."""
    for place in consumer.assignment():
        offset = await consumer.committed(place)
        if offset is None:
            await consumer.seek_to_beginning(place)
        else:
            consumer.seek(place, offset)


async def behind(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """Partitions of this member that have something to read, so that the others are not waited for."""
    places = sorted(consumer.assignment() - consumer.paused())
    ends = await consumer.end_offsets(places) if places else {}
    return [place for place in places if await consumer.position(place) < ends[place]]


async def read_singly(consumer: AIOKafkaConsumer, place: TopicPartition, limit: int) -> list[Any]:
    """The next records of one partition, up to the first that cannot be parsed; that one is Unreadable and last."""
    found: list[Any] = []
    while len(found) < limit:
        try:
            polled = await consumer.getmany(place, timeout_ms=LOOK_MS, max_records=1)
        except UNPARSABLE:
            offset = await consumer.position(place)
            found.append(Unreadable(place.topic, place.partition, offset))
            break
        if not polled:
            break
        found += polled[place]
    return found
