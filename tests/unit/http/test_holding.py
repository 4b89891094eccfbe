"""Calls that are held open, and keys on their way into the book."""

import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.http.holding import Deciding, Holding
from gateway.http.services import Limits
from gateway.store.port import StoreBusy


async def _never(seconds: float) -> None:
    await asyncio.Event().wait()


async def _at_once(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_drain_ends_every_wait_at_once() -> None:
    holding = Holding(SystemClock(), Limits())
    holding.in_flight = 1

    async def look() -> str:
        return "now"

    held = asyncio.create_task(holding.until(lambda _: False, "was", seconds=60, wait=_never, look=look))
    await asyncio.sleep(0)
    assert (holding.held, holding.in_flight) == (1, 0)
    holding.drain()
    assert await asyncio.wait_for(held, 1) == "now"
    assert (holding.held, holding.in_flight) == (0, 1)


async def test_a_cancelled_holder_leaves_nothing_behind() -> None:
    holding = Holding(SystemClock(), Limits())

    async def look() -> str:
        return "now"

    held = asyncio.create_task(holding.until(lambda _: False, "was", seconds=60, wait=_never, look=look))
    await asyncio.sleep(0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    await asyncio.sleep(0)
    assert (holding.held, holding.in_flight, len(asyncio.all_tasks())) == (0, 0, 1)


async def test_what_was_found_stands_where_the_book_cannot_be_read() -> None:
    holding = Holding(SystemClock(), Limits())
    looks = 0

    async def look() -> str | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise StoreBusy("no reader")
        return None if looks == 2 else "final"

    found = await holding.until(lambda seen: seen == "final", "taken", seconds=5, wait=_at_once, look=look)
    assert (found, looks) == ("final", 3)


@pytest.mark.parametrize(("seconds", "held"), [(0, 0), (-1, 0), (5, 4000)])
async def test_who_is_not_held(seconds: int, held: int) -> None:
    holding = Holding(SystemClock(), Limits())
    holding.held = held

    async def look() -> str:
        raise AssertionError("nobody looks")

    assert await holding.until(lambda _: False, "was", seconds=seconds, wait=_never, look=look) == "was"


async def test_an_inquiry_waits_for_all_that_were_begun_before_it() -> None:
    deciding = Deciding()
    first, second = deciding.begin("k"), deciding.begin("k")
    other = deciding.begin("other")
    waiting = asyncio.create_task(deciding.settled("k"))
    await asyncio.sleep(0)
    deciding.end("k", first)
    await asyncio.sleep(0)
    assert not waiting.done()
    deciding.end("k", second)
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(deciding.settled("k"), 1)
    deciding.end("other", other)
    assert deciding._running == {}
