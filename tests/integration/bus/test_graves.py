"""Dead letters whose topic does not take them whole, topics that differ, and brokers that are none."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.bus.kafka import burying
from gateway.bus.kafka.bus import KafkaBus
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.topics import BusRefused, Topics, wanted
from gateway.bus.port import BusDown, Dead, Verdict
from gateway.clock import SystemClock
from gateway.core.items import Message
from tests.integration.bus.parts import (
    BILLERS,
    Ears,
    Notes,
    config,
    let_all_pass,
    make_topics,
    message,
    open_bus,
    raw_producer,
    until,
    whole_topic,
)

kafka_only = pytest.mark.kafka


async def alter(kafka: KafkaConfig, topic: str, **changes: str) -> None:
    """Set a topic's settings as somebody with other tools does; the broker tells of it only after a moment."""
    (meant,) = [each for each in wanted(kafka, BILLERS) if each.name == topic]
    settings = meant.settings
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=list(kafka.bootstrap))
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {**settings, **changed})])
    await admin.close()
    async with asyncio.timeout(30), Topics(kafka) as topics:
        while not (await topics.compare([meant]))[0].differences:
            await asyncio.sleep(0.1)


@kafka_only
@pytest.mark.parametrize("limit", [1_048_588, 4_000])
async def test_a_grave_that_is_too_small_gets_short_letters_and_stops_nobody(kafka: str, limit: int) -> None:
    settings, acme, bolt, notes = config(kafka), Ears(), Ears(), Notes()
    await make_topics(settings)
    await alter(settings, settings.dead_letter_topic, max_message_bytes=str(limit))
    big, small = b"z" * 1_043_100, [b"y" * 1_500] * 6
    async with open_bus(settings, requests={"acme": acme, "bolt": bolt}, screen=bury_small, notes=notes) as bus:
        async with raw_producer(settings) as put:
            sent = [("trace", b"t"), ("long", b"h" * 5_000)]
            await put(settings.request_topic("acme"), big, key=b"k" * 300, partition=0, headers=sent)
            for value in small:
                await put(settings.request_topic("acme"), value, key=b"k", partition=0)
        await until(lambda: len(notes.dead) == 7)
        assert bus.view().burying
        await bus.publish([message(settings, f"{biller}-{n}", biller) for biller in BILLERS for n in range(6)])
        await until(lambda: len(acme.heard) == len(bolt.heard) == 6)
    letters = {dict(each.headers)["offset"]: each for each in await whole_topic(settings, settings.dead_letter_topic)}
    assert len(letters) == 7
    headers = dict(letters[b"0"].headers)
    assert (letters[b"0"].value, len(letters[b"0"].key)) == (b"", 128)
    assert headers["value_bytes"] == str(len(big)).encode()
    assert headers["value_sha256"] == hashlib.sha256(big).hexdigest().encode()
    assert (headers["reason"], headers["trace"]) == (b"oversized", b"t")
    assert (headers["topic"], headers["partition"]) == (settings.request_topic("acme").encode(), b"0")
    assert "long" not in headers
    assert [letters[str(offset).encode()].value for offset in range(1, 7)] == small, "those fit, one by one"


async def bury_small(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
    return [Dead("malformed") if each.payload.startswith(b"y") else each for each in messages]


@kafka_only
async def test_dead_letters_that_cannot_be_written_are_told_by_topic_and_kind(kafka: str) -> None:
    settings, notes = config(kafka), Notes()
    async with Topics(settings) as topics:
        await topics.create([topic for topic in wanted(settings, ["acme"]) if not topic.name.endswith("dead-letter")])
    async with open_bus(settings, requests={"acme": Ears()}, screen=bury_small, notes=notes) as bus:
        await bus.publish([message(settings, "yes")])
        await until(lambda: not bus.view().burying)
        told = [error for error in notes.errors if isinstance(error, BusDown) and error.failed]
        assert {topic: kind.__name__ for topic, kind in told[0].failed.items()} == {
            settings.dead_letter_topic: "UnknownTopicOrPartitionError"
        }
        await make_topics(settings, ["acme"])
        await until(lambda: bus.view().burying)


@kafka_only
async def test_topics_are_compared_once_at_the_start(kafka: str) -> None:
    settings, notes = config(kafka), Notes()
    await make_topics(settings)
    request = settings.request_topic("acme")
    await alter(settings, request, retention_bytes="1")
    bus = KafkaBus(settings, let_all_pass, SystemClock(), notes, "w-1", billers=[*BILLERS, "late"])
    await bus.open()
    try:
        await until(lambda: notes.topics is not None)
    finally:
        await bus.close()
    assert notes.topics is not None
    assert {topic: found for topic, found in notes.topics.items() if found} == {
        request: ["retention.bytes 1, expected -1"],
        settings.request_topic("late"): ["missing"],
    }


@asynccontextmanager
async def no_broker(body: bytes) -> AsyncIterator[str]:
    """Answers every request of a Kafka client with this."""
    ends: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(asyncio.current_task())
        try:
            while True:
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                request = await reader.readexactly(length)
                writer.write(struct.pack(">i", 4 + len(body)) + request[4:8] + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
        await asyncio.wait([task for task in ends if task is not None], timeout=5)


@pytest.mark.parametrize("body", [b"\xff" * 40, b""], ids=["ones", "short"])
async def test_what_is_no_broker_is_a_bus_that_is_down(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.bus.kafka.bus.PROBE_S", 0.1)
    async with no_broker(body) as address:
        settings, notes = config(address), Notes()
        bus = KafkaBus(settings, let_all_pass, SystemClock(), notes, "w-1")
        bus.on_request("acme", Ears().take)
        await bus.open()
        try:
            with pytest.raises(BusDown):
                await bus.publish([message(settings, "x")])
            tries = len(notes.failed)
            await until(lambda: len(notes.failed) > tries + 1)
            assert bus._probing is not None
            assert (bus._probing.done(), bus._tasks.lost(), bus.view().up) == (False, [], False)
        finally:
            await bus.close()
        with pytest.raises(BusRefused):
            async with Topics(settings):
                pass


def test_a_limit_that_was_learnt_is_forgotten_some_time_later() -> None:
    assert burying.TRUST_S < 3_600, "a topic that was mended gets whole letters again"
