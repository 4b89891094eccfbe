"""Partners' numbers: taken from the database in blocks, in short transactions of their own, handed out from memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.store.postgres import text

BLOCK = 1_000


class NumberBlocks:
    """Numbers of one process. fetch: runs one statement on a connection that is in no unit's transaction.

    A number is handed out once; those of a unit that fails, or left over when the process ends, are never used.
    """

    def __init__(self, fetch: Callable[..., Awaitable[Any]]) -> None:
        self._fetch = fetch
        self._blocks: dict[tuple[str, str], range] = {}
        self._lock = asyncio.Lock()

    async def take(self, biller: str, day: str, count: int) -> int:
        """The first of `count` consecutive numbers."""
        found = self._from_memory(biller, day, count)
        if found is not None:
            return found
        async with self._lock:
            found = self._from_memory(biller, day, count)
            if found is None:
                size = max(BLOCK, count)
                after = int(await self._fetch(text.NUMBERS, biller, day, size))
                # What is left of the old block is given up: the numbers asked for must follow one another.
                self._blocks[biller, day] = range(after - size + count, after)
                found = after - size
                self._forget_old_days(biller, day)
            return found

    def _from_memory(self, biller: str, day: str, count: int) -> int | None:
        block = self._blocks.get((biller, day), range(0))
        if len(block) < count:
            return None
        self._blocks[biller, day] = block[count:]
        return block[0]

    def _forget_old_days(self, biller: str, day: str) -> None:
        days = sorted(known for of, known in self._blocks if of == biller)
        for known in days[:-2]:
            if known != day:
                del self._blocks[biller, known]
