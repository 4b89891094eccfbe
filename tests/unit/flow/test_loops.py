"""Every loop of the flow goes on after an exception that nobody thought of."""

from collections.abc import Sequence
from typing import Any

import pytest

from contracts.breaker import Breaker, BreakerPolicy, Ticket
from gateway.bus.embedded import EmbeddedBus
from gateway.bus.relay import BATCH, Relay
from gateway.clock import SystemClock
from gateway.core.allowances import ClosedView, Dealt, Renew
from gateway.core.items import Message
from gateway.core.leases import HoldLeases, LeasesHeld
from gateway.flow import allowances, closed_board, leases
from gateway.flow.closed_board import BookBoard
from gateway.flow.crash_points import CrashPoints
from gateway.flow.lane import Lane
from gateway.flow.task_group import TaskGroup
from tests.stand.billers import ACME
from tests.unit.flow.fakes import FakeBiller, FakeBook, make_parts, order_row
from tests.unit.flow.test_relay import LEASE, OutboxBook, hear, row, until


class Odd(EmbeddedBus):
    """Raises once what no bus may raise."""

    def __init__(self) -> None:
        super().__init__("bm")
        self.tries = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise IndexError("an error that nobody thought of")
        await super().publish(messages)


@pytest.mark.parametrize("way", ["told", "missed"])
async def test_the_relay_publishes_after_it(way: str) -> None:
    book, bus, heard, failed = OutboxBook(), Odd(), list[str](), list[str]()
    tasks = TaskGroup(lambda name, error: failed.append(f"{name} {type(error).__name__}"))
    relay = Relay(book, bus, SystemClock(), CrashPoints(None), tasks, lease=lambda: LEASE, missed_after_ms=0)
    bus.on_request("acme", hear(heard))
    await bus.open()
    relay.start()
    if way == "told":
        book.tell([row(number) for number in range(1, BATCH + 2)])
        await until(lambda: bool(failed))
        # What waits behind the batch that failed goes out though nothing more commits.
        await until(lambda: book.marked == [f"m{BATCH + 1}"])
    book.missed = [Message(message_id="m1", topic="bm.request.acme", key="k", payload=b"{}")]
    if way == "missed":
        await until(lambda: bool(failed))
        book.missed = [Message(message_id="m1", topic="bm.request.acme", key="k", payload=b"{}")]
    await until(lambda: "m1" in book.marked)
    await tasks.close()
    assert failed == ["relay IndexError" if way == "told" else "relay.missed IndexError"]


async def test_the_lane_calls_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    book, biller, tries = FakeBook(), FakeBiller(), list[int]()
    parts, notes = make_parts(book)
    lane = Lane(biller, ACME, parts, policy=BreakerPolicy())
    real = Breaker.try_start

    def try_start(self: Breaker, now: float) -> Ticket | None:
        tries.append(1)
        if len(tries) == 1:
            raise IndexError("an error that nobody thought of")
        return real(self, now)

    monkeypatch.setattr(Breaker, "try_start", try_start)
    lane.start()
    order = order_row(1, "a")
    book.orders[order.order_serial] = order
    lane.offer_order(order)
    await until(lambda: biller.calls == 1)
    await parts.tasks.close()
    assert any("IndexError" in text for text in notes.heard)


class OddBook(FakeBook):
    """Raises once what no store may raise, for each kind of question; then answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def run(self, item: Any) -> Any:
        self.asked.append(type(item).__name__)
        if len(self.asked) == 2:
            raise IndexError("an error that nobody thought of")
        if isinstance(item, HoldLeases):
            return LeasesHeld(held=[])
        if isinstance(item, Renew):
            return Dealt(grants=[], lapsed=False)
        raise AssertionError(item)

    async def look(self, item: Any) -> Any:
        self.asked.append(type(item).__name__)
        if len(self.asked) == 2:
            raise IndexError("an error that nobody thought of")
        return ClosedView(closed_ms={})


@pytest.mark.parametrize("what", ["leases", "allowances", "board"])
async def test_what_is_renewed_is_renewed_after_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((leases, "RENEW_S"), (allowances, "RENEW_S"), (closed_board, "LOOK_S")):
        monkeypatch.setattr(module, name, 0.01)
    book = OddBook()
    parts, _ = make_parts(book)
    if what == "leases":
        await leases.Leases(parts, ["relay"], sole=True).open()
    elif what == "allowances":
        await allowances.Allowances(parts, [], lambda _: 0).open()
    else:
        parts.tasks.for_ever("board", BookBoard(book, parts.clock, lambda *_: None).turn, parts.clock)
    await until(lambda: len(book.asked) >= 4)
    assert (len(parts.tasks), parts.tasks.lost()) == (1, [])
    await parts.tasks.close()
