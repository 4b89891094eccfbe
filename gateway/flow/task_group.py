"""Background tasks with one owner: none is lost, none fails silently, all end when the house closes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from contracts.clock import Clock

AGAIN_S = (1.0,)
Failed = Callable[[str, BaseException], None]
Turn = Callable[[], Awaitable[float | None]]
"""Does the work of a loop once. Seconds until the next time; None: there will be none."""


class Strayed(Exception):
    """A CancelledError that nobody meant for this task: something below was cancelled and let it out."""


class TaskGroup:
    """Named tasks of one process. failed: called with name and error when a task ends by itself with one.

    An essential task is one whose work nobody does once it has ended: see `lost`.
    """

    def __init__(self, failed: Failed) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._essential: set[asyncio.Task[Any]] = set()
        self._lost: list[str] = []
        self._failed = failed

    def start(self, name: str, work: Coroutine[Any, Any, Any], *, essential: bool = False) -> asyncio.Task[Any]:
        """Run work until it ends or the group closes."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        if essential:
            self._essential.add(task)
        task.add_done_callback(self._ended)
        return task

    def for_ever(
        self, name: str, turn: Turn, clock: Clock, *, again_s: Sequence[float] = AGAIN_S, failed: Failed | None = None
    ) -> asyncio.Task[Any]:
        """Run an essential loop, see the function for_ever. failed: instead of the group's."""
        work = for_ever(name, turn, clock, failed or self._failed, again_s=again_s)
        return self.start(name, work, essential=True)

    def lost(self) -> list[str]:
        """Essential tasks that have ended without being asked to: the process is of no more use."""
        return list(self._lost)

    def __len__(self) -> int:
        return len(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = _error_of(task)
        if task in self._essential:
            self._essential.discard(task)
            if error is not None:
                self._lost.append(task.get_name())
        if error is not None:
            self._failed(task.get_name(), error)

    async def drain(self, prefix: str, seconds: float) -> bool:
        """Wait until no task of this name prefix is left, at most so long. True if none is left."""
        mine = [task for task in self._tasks if task.get_name().startswith(prefix)]
        if mine:
            await asyncio.wait(mine, timeout=seconds)
        return not any(task.get_name().startswith(prefix) for task in self._tasks)

    async def close(self) -> None:
        """Cancel everything and wait for it."""
        mine = list(self._tasks)
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)


async def for_ever(name: str, turn: Turn, clock: Clock, failed: Failed, *, again_s: Sequence[float] = AGAIN_S) -> None:
    """The one boundary of every endless loop: whatever a turn raises is told, and the turn is done again.

    again_s: the waits after the first, second, … failure in a row; a turn that went well for longer than the last of
    them begins the row anew.
    """
    failures = 0
    while True:
        begun = clock.monotonic()
        try:
            wait_s = await turn()
            failures = 0
        except asyncio.CancelledError as error:
            if _is_meant():
                raise
            wait_s, failures = _told(name, error, failed, again_s, failures)
        except Exception as error:  # boundary: a loop that fails once must go on, whatever it was
            failures = 0 if clock.monotonic() - begun > again_s[-1] else failures
            wait_s, failures = _told(name, error, failed, again_s, failures)
        if wait_s is None:
            return
        if wait_s > 0:
            await clock.sleep(wait_s)


def _told(
    name: str, error: BaseException, failed: Failed, again_s: Sequence[float], failures: int
) -> tuple[float, int]:
    """How long to wait after the failure, and which in a row the next one is."""
    failed(name, Strayed(str(error)) if isinstance(error, asyncio.CancelledError) else error)
    return again_s[min(failures, len(again_s) - 1)], failures + 1


def _is_meant() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What a task ended with by itself."""
    if task.cancelled():
        return None if task.cancelling() else Strayed()
    return task.exception()
