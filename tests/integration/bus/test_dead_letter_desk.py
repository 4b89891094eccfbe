"""The dead-letter topic on its way into the book: nothing is committed that is not kept, and one process does it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.bus.kafka.bus import KafkaBus
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.port import Dead, Verdict
from gateway.clock import SystemClock
from gateway.core.items import Message
from gateway.core.letters import FoundLetter
from gateway.store.port import StoreBusy
from tests.integration.bus.parts import Ears, Notes, config, make_topics, raw_producer, until

pytestmark = pytest.mark.kafka


class Desk:
    """Keeps letters, or says that the book is busy."""

    def __init__(self) -> None:
        self.kept: list[FoundLetter] = []
        self.busy, self.asked = False, 0

    async def __call__(self, found: Sequence[FoundLetter]) -> None:
        self.asked += 1
        if self.busy:
            raise StoreBusy("told to be")
        self.kept += found


async def bury_all(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
    return [Dead("unknown-order", "told to be")] * len(messages)


@asynccontextmanager
async def desk_bus(
    kafka: KafkaConfig, desk: Desk, ours: Callable[[], bool] = lambda: True, worker: str = "d-1"
) -> AsyncIterator[Notes]:
    """A process that brings letters, and takes requests, which are all dead."""
    notes = Notes()
    bus = KafkaBus(kafka, bury_all, SystemClock(), notes, worker)
    bus.on_request("acme", Ears().take)
    bus.on_dead(desk, ours)
    await bus.open()
    try:
        yield notes
    finally:
        await bus.close()


async def test_letters_come_to_the_book_once_it_is_there(kafka: str) -> None:
    settings, desk = config(kafka), Desk()
    await make_topics(settings)
    desk.busy = True
    texts = [str(number) for number in range(30)]
    async with desk_bus(settings, desk) as notes, raw_producer(settings) as put:
        for text in texts:
            await put(settings.request_topic("acme"), text.encode(), key=b"k")
        await until(lambda: len(notes.dead) == len(texts))
        await until(lambda: desk.asked >= 2)
        assert desk.kept == []
        assert any("StoreBusy" in failure for failure in notes.failed)
    # Nothing was committed: another process finds them all.
    desk.busy = False
    async with desk_bus(settings, desk, worker="d-2"):
        await until(lambda: len(desk.kept) >= len(texts))
    assert {one.body.decode() for one in desk.kept} == set(texts)
    assert {(one.reason, one.topic) for one in desk.kept} == {("unknown-order", settings.request_topic("acme"))}
    again = Desk()
    async with desk_bus(settings, again, worker="d-3"), raw_producer(settings) as put:
        await put(settings.dead_letter_topic, b"not by us", key=b"k")
        await until(lambda: bool(again.kept))
        await asyncio.sleep(0.3)
    assert [(one.body, one.reason) for one in again.kept] == [(b"not by us", "malformed")], "what was kept is committed"


async def test_only_who_has_the_lease_brings_them(kafka: str) -> None:
    settings, first, second = config(kafka), Desk(), Desk()
    await make_topics(settings)
    turn = {"first": True, "second": False}
    async with (
        desk_bus(settings, first, lambda: turn["first"]),
        desk_bus(settings, second, lambda: turn["second"], worker="d-2"),
        raw_producer(settings) as put,
    ):
        await put(settings.dead_letter_topic, b"one", key=b"k")
        await until(lambda: [one.body for one in first.kept] == [b"one"])
        turn |= {"first": False, "second": True}
        await asyncio.sleep(1)
        await put(settings.dead_letter_topic, b"two", key=b"k")
        await until(lambda: [one.body for one in second.kept] == [b"two"])
    assert len(first.kept) == 1


async def test_what_the_client_cannot_parse_holds_nothing_up(kafka: str) -> None:
    settings, desk = config(kafka), Desk()
    await make_topics(settings)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.bus.crooked", kafka, settings.dead_letter_topic,
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
    )  # fmt: skip
    assert await process.wait() == 0
    async with desk_bus(settings, desk):
        await until(lambda: len({one.origin for one in desk.kept}) == 7)
    bodies = {one.origin: one.body for one in desk.kept}
    assert sorted(bodies.values()) == [b""] * 4 + [b"one", b"three", b"two"]
    assert {one.reason for one in desk.kept} == {"malformed"}
