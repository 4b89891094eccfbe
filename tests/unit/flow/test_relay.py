"""The relay publishes what committed, at least once, and marks it afterwards; held calls wake by serial."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.bus.embedded import EmbeddedBus
from gateway.bus.port import TAKEN, BusDown, Handler, Verdict
from gateway.bus.relay import Relay
from gateway.clock import SystemClock
from gateway.core import items
from gateway.core.held import Held
from gateway.core.items import Message
from gateway.core.rows import OutboxRow
from gateway.flow.crash_points import CrashPoints
from gateway.flow.task_group import TaskGroup
from gateway.flow.waiters import Waiters
from gateway.store.port import Listener
from tests.unit.flow.fakes import FakeBook

LEASE = Held(name="relay", owner="w", epoch=1)


class OutboxBook(FakeBook):
    """A book that tells rows and remembers which were marked."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: list[str] = []
        self.missed: list[Message] = []
        self.tell: Listener = lambda _rows: None

    def listen(self, callback: Listener) -> None:
        self.tell = callback

    async def run(self, item: Any) -> Any:
        if isinstance(item, items.MarkPublished):
            self.marked += item.message_ids
            return items.Kept()
        if isinstance(item, items.TakeOutbox):
            missed, self.missed = self.missed, []
            return items.Outbox(messages=missed)
        raise AssertionError(item)


class FlakyBus(EmbeddedBus):
    """Refuses the first publish after having delivered it: the answer is lost, not the message."""

    def __init__(self) -> None:
        super().__init__("bm")
        self.down = 1

    async def publish(self, messages: Sequence[Message]) -> None:
        await super().publish(messages)
        if self.down:
            self.down -= 1
            raise BusDown("no answer")


def hear(heard: list[str]) -> Handler:
    """A handler that keeps the ids of what it took."""

    def take(message: Message) -> Verdict:
        heard.append(message.message_id)
        return TAKEN

    return take


def row(number: int, topic: str = "bm.request.acme") -> OutboxRow:
    return OutboxRow(message_id=f"m{number}", topic=topic, key=f"k{number}", payload=b"{}", created_at=0)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_rows_are_published_then_marked_and_missed_ones_are_found() -> None:
    book, bus, heard = OutboxBook(), EmbeddedBus("bm"), []
    tasks = TaskGroup(lambda name, error: heard.append(f"{name} {error!r}"))
    relay = Relay(book, bus, SystemClock(), CrashPoints(None), tasks, lease=lambda: LEASE)
    bus.on_request("acme", hear(heard))
    book.missed = [Message(message_id="m9", topic="bm.request.acme", key="k", payload=b"{}")]
    await bus.open()
    relay.start()
    book.tell([row(1), row(2)])
    await until(lambda: len(book.marked) == 3)
    await tasks.close()
    assert sorted(heard) == sorted(book.marked) == ["m1", "m2", "m9"]
    assert relay.depth() == 0


async def test_a_publish_without_an_answer_is_sent_again() -> None:
    book, bus, heard = OutboxBook(), FlakyBus(), []
    tasks = TaskGroup(lambda name, error: heard.append(f"{name} {error!r}"))
    relay = Relay(book, bus, SystemClock(), CrashPoints(None), tasks, lease=lambda: LEASE)
    bus.on_request("acme", hear(heard))
    await bus.open()
    relay.start()
    book.tell([row(1)])
    await until(lambda: heard == ["m1"])
    assert book.marked == [], "nobody said that the bus has it"
    book.missed = [Message(message_id="m1", topic="bm.request.acme", key="k1", payload=b"{}")]
    await until(lambda: book.marked == ["m1"])
    await tasks.close()
    assert heard == ["m1", "m1"]


class PartlyBus(EmbeddedBus):
    """Has everything but one message."""

    async def publish(self, messages: Sequence[Message]) -> None:
        ids = [message.message_id for message in messages]
        if "m2" in ids:
            raise BusDown("no such topic", [each for each in ids if each != "m2"])


async def test_what_the_bus_has_is_marked_though_it_lacks_a_part() -> None:
    book, heard = OutboxBook(), []
    tasks = TaskGroup(lambda name, error: heard.append(f"{name} {error!r}"))
    relay = Relay(book, PartlyBus("bm"), SystemClock(), CrashPoints(None), tasks, lease=lambda: LEASE)
    relay.start()
    book.tell([row(1), row(2), row(3)])
    await until(lambda: book.marked == ["m1", "m3"])
    book.missed = [Message(message_id="m2", topic="bm.request.acme", key="k2", payload=b"{}")]
    await asyncio.sleep(0.05)
    await tasks.close()
    assert (book.marked, heard) == (["m1", "m3"], [])


async def test_a_held_call_wakes_by_its_serial_and_forgets_itself() -> None:
    waiters = Waiters("bm")
    waiting = asyncio.ensure_future(waiters.wait("S1", 5))
    other = asyncio.ensure_future(waiters.wait("S2", 0.05))
    await asyncio.sleep(0)
    waiters.on_result(Message(message_id="m", topic="bm.result", key="S1", payload=b"{}"))
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(other, 1)
    waiters.on_rows([row(1, topic="bm.result")])
    assert not waiters._waiting, "nothing is remembered of calls that have gone"
