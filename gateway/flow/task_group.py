"""Background tasks with one owner: none is lost, none fails silently, all end when the house closes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class TaskGroup:
    """Named tasks of one process. failed: called with name and error when a task ends by itself with one."""

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed = failed

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work until it ends or the group closes."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
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
