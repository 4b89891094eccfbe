"""Whether a process should be sent requests now: what `/readyz` says."""

import asyncio
from collections.abc import Callable

from gateway.core.views import PeekDay
from gateway.store.port import Store, StoreError

PATIENCE_S = 1.0
"""A book that does not answer within this is away; whoever asks about us gives up little later."""


class Readiness:
    """Reasons why not, none when all is well. queue_max: how many items may wait for the book.

    draining: whether the process is about to end.
    """

    def __init__(self, store: Store, queue_max: int, draining: Callable[[], bool]) -> None:
        self._store, self._queue_max, self._draining = store, queue_max, draining
        self._look: asyncio.Future[bool] | None = None

    async def reasons(self) -> list[str]:
        """Asks the book, within PATIENCE_S; one question at a time, however many ask us."""
        found = ["draining"] if self._draining() else []
        if lost := self._store.lost():
            return [*found, lost]
        depth = self._store.depth()
        if depth > self._queue_max // 2:
            found.append(f"{depth} requests wait for the book")
        if not await self._answers():
            found.append("the book does not answer")
        return found

    async def _answers(self) -> bool:
        look = self._look
        if look is None or look.done():
            look = self._look = asyncio.ensure_future(self._ask())
        await asyncio.wait([look], timeout=PATIENCE_S)
        return look.done() and look.result()

    async def _ask(self) -> bool:
        try:
            await self._store.look(PeekDay())
        except StoreError:
            return False
        return True

    async def close(self) -> None:
        """Let a question go that is still waiting."""
        if self._look is not None and not self._look.done():
            self._look.cancel()
            await asyncio.wait([self._look])
