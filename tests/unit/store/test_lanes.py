"""Queues per unit: order, limits, cancellation."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.rows import OutboxRow
from gateway.store.lanes import Lanes, tell
from gateway.store.port import StoreBusy, UnitFailed


class Pay:
    """An item."""


class Claim:
    """An item of another unit."""


class Refund:
    """An item that shares Pay's unit."""


def money(_: Sequence[Any], __: Any) -> Any:
    """A unit."""


def orders(_: Sequence[Any], __: Any) -> Any:
    """Another."""


UNITS: Any = {Pay: money, Refund: money, Claim: orders}


async def test_one_unit_per_batch_and_the_longest_waiting_first() -> None:
    lanes = Lanes(UNITS, 100)
    for item in (Pay(), Claim(), Refund(), Pay(), Claim()):
        lanes.put(item)
        await asyncio.sleep(0.002)
    first = await lanes.take(2)
    assert [type(waiting.item) for waiting in first] == [Pay, Refund]
    second = await lanes.take(10)
    assert [type(waiting.item) for waiting in second] == [Claim, Claim]
    third = await lanes.take(10)
    assert [type(waiting.item) for waiting in third] == [Pay]
    assert lanes.depth == 5
    for batch in (first, second, third):
        lanes.done(batch)
    assert lanes.depth == 0


async def test_what_comes_in_one_turn_is_one_batch() -> None:
    lanes = Lanes(UNITS, 100)
    hand = asyncio.ensure_future(lanes.take(64))
    await asyncio.sleep(0)
    for _ in range(10):
        lanes.put(Pay())
    assert len(await hand) == 10


async def test_each_hand_gets_work_and_a_cancelled_hand_takes_none() -> None:
    lanes = Lanes(UNITS, 100)
    hands = [asyncio.ensure_future(lanes.take(1)) for _ in range(3)]
    await asyncio.sleep(0)
    lanes.put(Pay())
    hands[0].cancel()
    await asyncio.sleep(0)
    lanes.put(Pay())
    done, _ = await asyncio.wait(hands, timeout=1)
    assert hands[0].cancelled()
    assert len(done) == 3


async def test_a_limit_counts_what_waits_and_what_is_in_hand() -> None:
    lanes = Lanes(UNITS, 2)
    lanes.put(Pay())
    batch = await lanes.take(1)
    lanes.put(Pay())
    with pytest.raises(StoreBusy):
        lanes.put(Pay())
    lanes.done(batch)
    lanes.put(Pay())
    with pytest.raises(UnitFailed, match="object"):
        lanes.put(object())


async def test_whoever_left_is_not_worked_for() -> None:
    lanes = Lanes(UNITS, 100)
    leaving, staying = lanes.put(Pay()), lanes.put(Pay())
    leaving.cancel()
    batch = await lanes.take(10)
    assert [waiting.future for waiting in batch] == [staying]
    batch[0].settle("reply")
    assert await staying == "reply"
    lanes.done(batch)
    assert lanes.depth == 0
    lanes.put(Pay()).cancel()
    hand = asyncio.ensure_future(lanes.take(1))
    await asyncio.sleep(0)
    assert not hand.done()
    assert lanes.depth == 0
    hand.cancel()


async def test_idle_comes_when_the_last_is_done() -> None:
    lanes = Lanes(UNITS, 100)
    await lanes.idle()
    lanes.put(Pay())
    waiter = asyncio.ensure_future(lanes.idle())
    batch = await lanes.take(1)
    await asyncio.sleep(0)
    assert not waiter.done()
    lanes.done(batch)
    await waiter


async def test_what_waited_too_long_is_given_up_and_nothing_else() -> None:
    lanes = Lanes(UNITS, 100)
    old = lanes.put(Pay())
    await asyncio.sleep(0.02)
    middle = int(asyncio.get_running_loop().time() * 1000)
    await asyncio.sleep(0.02)
    new = lanes.put(Pay())
    assert lanes.give_up(lambda: StoreBusy("late"), before_ms=middle) == 1
    with pytest.raises(StoreBusy):
        await old
    assert not new.done()
    assert lanes.depth == 1


def test_a_listener_that_fails_stops_no_other() -> None:
    told: list[OutboxRow] = []
    row = OutboxRow(message_id="m", topic="t", key="k", payload=b"", created_at=1)

    def broken(_: Sequence[OutboxRow]) -> None:
        raise RuntimeError

    tell([broken, told.extend], [row])
    tell([broken, told.extend], [])
    assert told == [row]
