"""The one boundary of every endless loop, and what happens where even that one is passed."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.clock import SystemClock
from gateway.flow.task_group import Strayed, TaskGroup, Turn


class Beyond(BaseException):
    """Passes every boundary."""


def turns(*steps: BaseException | float | None) -> tuple[Turn, list[int]]:
    """A turn that does these, then waits for ever; and how often it was done."""
    done: list[int] = []
    left = list(steps)

    async def turn() -> float | None:
        done.append(len(done))
        await asyncio.sleep(0)
        if not left:
            await asyncio.Event().wait()
        step = left.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    return turn, done


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("error", [IndexError("odd"), asyncio.CancelledError("from below")])
async def test_whatever_a_turn_raises_is_told_and_it_is_done_again(error: BaseException) -> None:
    failed: list[str] = []
    group = TaskGroup(lambda name, error: failed.append(f"{name} {type(error).__name__}"))
    turn, done = turns(error, 0.0)
    group.for_ever("loop", turn, SystemClock(), again_s=(0.01,))
    await until(lambda: len(done) == 3)
    name = Strayed.__name__ if isinstance(error, asyncio.CancelledError) else type(error).__name__
    assert (failed, group.lost(), len(group)) == ([f"loop {name}"], [], 1)
    await group.close()
    assert (group.lost(), len(group)) == ([], 0), "to be closed is no loss"


async def test_it_waits_longer_after_each_failure_in_a_row() -> None:
    slept: list[float] = []

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    turn, _ = turns(OSError(), OSError(), OSError(), 5.0, OSError(), None)
    group = TaskGroup(lambda _name, _error: None)
    await group.for_ever("loop", turn, Clock(), again_s=(1.0, 2.0))
    assert slept == [1.0, 2.0, 2.0, 5.0, 1.0]
    assert group.lost() == [], "None is an end that the loop itself has chosen"


@pytest.mark.parametrize("error", [Beyond(), asyncio.CancelledError()])
async def test_an_essential_task_that_ends_by_itself_is_lost(error: BaseException) -> None:
    failed: list[str] = []
    group = TaskGroup(lambda name, error: failed.append(f"{name} {type(error).__name__}"))

    async def end() -> None:
        raise error

    group.start("essential", end(), essential=True)
    group.start("passing", asyncio.sleep(0))
    await until(lambda: not len(group))
    assert (group.lost(), len(failed)) == (["essential"], 1)


async def test_who_is_cancelled_by_its_owner_is_not_lost() -> None:
    group = TaskGroup(lambda _name, _error: None)
    turn, done = turns()
    task = group.for_ever("loop", turn, SystemClock())
    await until(lambda: bool(done))
    task.cancel()
    await until(lambda: not len(group))
    assert group.lost() == []
