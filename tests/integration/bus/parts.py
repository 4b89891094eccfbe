"""Kafka buses of one test: topics of their own, handlers that remember, and a raw look into any topic."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from gateway.bus.kafka.bus import KafkaBus
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.topics import Topics, wanted
from gateway.bus.port import TAKEN, BusDown, Dead, Dropped, Screen, Verdict
from gateway.clock import SystemClock
from gateway.core.items import Message
from tests.stand.kafka import fresh_prefix

BILLERS = ("acme", "bolt")


class Notes:
    """Implements BusNotes and keeps everything."""

    def __init__(self) -> None:
        self.dead: list[tuple[str, str]] = []
        self.dropped: list[str] = []
        self.taken = 0
        self.rebuilt = 0
        self.failed: list[str] = []
        self.errors: list[BaseException] = []
        self.topics: dict[str, list[str]] | None = None

    def message_dead(self, topic: str, dead: Dead) -> None:
        self.dead.append((topic, dead.reason))

    def message_dropped(self, topic: str, dropped: Dropped) -> None:
        self.dropped.append(dropped.cause)

    def published(self, count: int, seconds: float) -> None:
        self.taken += count

    def producer_built(self, *, again: bool) -> None:
        self.rebuilt += again

    def bus_failed(self, what: str, error: BaseException) -> None:
        self.failed.append(f"{what}: {error!r}")
        self.errors.append(error)

    def topics_compared(self, differences: Mapping[str, Sequence[str]]) -> None:
        self.topics = {name: list(found) for name, found in differences.items()}


async def let_all_pass(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
    """A screen that asks nobody."""
    return messages


class Ears:
    """A handler that takes what it hears, as long as it has room."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.heard: list[str] = []
        self.keys: list[str] = []
        self.left = room
        self.missed = 0

    def take(self, message: Message) -> Verdict:
        self.heard.append(message.payload.decode())
        self.keys.append(message.key)
        self.left -= 1
        return TAKEN

    def room(self) -> int:
        return self.left

    def miss(self) -> None:
        self.missed += 1


def config(bootstrap: str, **changes: Any) -> KafkaConfig:
    """One replica, three partitions, a prefix of its own; new topics are seen within a second."""
    small: dict[str, Any] = {"partitions": 3, "replication": 1, "min_insync": 1, "metadata_age_ms": 1_000}
    return KafkaConfig(bootstrap=(bootstrap,), prefix=fresh_prefix(), **(small | changes))


async def make_topics(kafka: KafkaConfig, billers: Sequence[str] = BILLERS) -> None:
    async with Topics(kafka) as topics:
        assert all(found.ok for found in await topics.create(wanted(kafka, billers)))


@asynccontextmanager
async def open_bus(
    kafka: KafkaConfig,
    *,
    requests: dict[str, Ears] | None = None,
    results: Ears | None = None,
    screen: Screen = let_all_pass,
    notes: Notes | None = None,
    worker: str = "w-1",
) -> AsyncIterator[KafkaBus]:
    """A bus with these handlers, closed afterwards."""
    bus = KafkaBus(kafka, screen, SystemClock(), notes or Notes(), worker)
    for biller, ears in (requests or {}).items():
        bus.on_request(biller, ears.take, ears.room)
    if results is not None:
        bus.on_result(results.take, results.miss)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


def message(kafka: KafkaConfig, text: str, biller: str = "acme", key: str | None = None) -> Message:
    """A request whose payload is just this text."""
    topic = kafka.request_topic(biller)
    return Message(message_id=f"m-{text}", topic=topic, key=key or f"k-{text}", payload=text.encode())


def result(kafka: KafkaConfig, serial: str) -> Message:
    return Message(message_id=f"r-{serial}", topic=kafka.result_topic, key=serial, payload=serial.encode())


async def put_until_taken(bus: KafkaBus, messages: Sequence[Message], seconds: float = 60) -> int:
    """Publish as the relay does: again and again what was not told as taken. How often it was refused."""
    left, refused = list(messages), 0
    async with asyncio.timeout(seconds):
        while left:
            try:
                await bus.publish(left)
                left = []
            except BusDown as down:
                refused += 1
                left = [each for each in left if each.message_id not in down.taken]
                await asyncio.sleep(0.2)
    return refused


def set_bus(file: Path, *lines: str) -> None:
    """Replace the section `bus` of a configuration."""
    section = "".join(f"{line}\n" for line in ("[bus]", *lines, ""))
    text, count = re.subn(r"(?ms)^\[bus\]\n.*?(?=^\[|\Z)", section, file.read_text(encoding="utf-8"))
    assert count == 1
    file.write_text(text, encoding="utf-8")


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def whole_topic(kafka: KafkaConfig, topic: str, at_least: int = 0, seconds: float = 20) -> list[Any]:
    """Every record of a topic, read apart from any group; waits for so many."""
    consumer = AIOKafkaConsumer(
        topic, **kafka.connection("reader"), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            ends = await consumer.end_offsets(consumer.assignment())
            while len(found) < max(at_least, sum(ends.values())):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
    finally:
        await consumer.stop()
    return found


@asynccontextmanager
async def raw_producer(kafka: KafkaConfig) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Puts anything anywhere."""
    producer = AIOKafkaProducer(**kafka.connection("raw"), max_request_size=4_000_000)
    await producer.start()
    try:
        yield producer.send_and_wait
    finally:
        await producer.stop()
