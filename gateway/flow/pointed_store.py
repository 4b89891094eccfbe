"""A store whose acceptances pass crash points; built only where a test has armed one."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.core.items import Accept
from gateway.flow.crash_points import CrashPoint, CrashPoints
from gateway.store.port import Listener, Snapshot, Store

T = TypeVar("T")


class PointedStore:
    """See Store; the front's acceptances have no shell of their own that could pass a point."""

    def __init__(self, store: Store, crash: CrashPoints) -> None:
        self._store, self._crash = store, crash
        self.open, self.close, self.look = store.open, store.close, store.look
        self.depth, self.lost = store.depth, store.lost

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        accepts = isinstance(item, Accept)
        if accepts:
            self._crash.reach(CrashPoint.ACCEPT_BEFORE_COMMIT)
        reply = await self._store.run(item)
        if accepts:
            self._crash.reach(CrashPoint.ACCEPT_AFTER_COMMIT)
        return reply

    def listen(self, callback: Listener) -> None:
        """See Store.listen."""
        self._store.listen(callback)

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        return await self._store.snapshot(use)
