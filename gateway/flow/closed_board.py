"""Which billers the breakers hold closed, told by the processes that call to those that take payments."""

import mmap
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.clock import Clock
from gateway.core.allowances import ClosedView, PeekClosed
from gateway.store.port import Store, StoreError

_UNTIL = struct.Struct("d")
LOOK_S = 1.0


class Board(Protocol):
    """Answers without waiting."""

    def closed_for_s(self, name: str) -> int:
        """Seconds until the biller may be called again; 0 while it may."""
        ...


class ClosedBoard:
    """For fronts forked beside the flow: shared memory of one moment per biller, on Clock.monotonic(), which the
    processes of a machine share.

    Made before the fork. One process writes; a front that reads half of a write is off for one request, no more.
    """

    def __init__(self, names: Sequence[str], clock: Clock) -> None:
        self._places = {name: index * _UNTIL.size for index, name in enumerate(sorted(names))}
        self._memory = mmap.mmap(-1, max(1, len(names)) * _UNTIL.size)
        self._clock = clock

    def close_for(self, name: str, seconds: int) -> None:
        """The biller takes nothing for so long; 0: it takes payments."""
        until = self._clock.monotonic() + seconds if seconds else 0.0
        _UNTIL.pack_into(self._memory, self._places[name], until)

    def closed_for_s(self, name: str) -> int:
        """Seconds until it may be called again; 0 while it may."""
        place = self._places.get(name)
        if place is None:
            return 0
        (until,) = _UNTIL.unpack_from(self._memory, place)
        left: float = until - self._clock.monotonic()
        return max(1, round(left)) if left > 0 else 0


class BookBoard:
    """For processes anywhere: what the workers say in the book with their allowances, looked up every second.

    Of a worker that dies nothing is left after some seconds; while the book cannot be asked, what was read ends by its
    own time.
    """

    def __init__(self, store: Store, clock: Clock, failed: Callable[[str, BaseException], None]) -> None:
        self._store, self._clock, self._failed = store, clock, failed
        self._until: dict[str, float] = {}

    def closed_for_s(self, name: str) -> int:
        """See Board."""
        left = self._until.get(name, 0.0) - self._clock.monotonic()
        return max(1, round(left)) if left > 0 else 0

    async def turn(self) -> float:
        """Look once; seconds until the next look."""
        await self.look()
        return LOOK_S

    async def look(self) -> None:
        """Once."""
        try:
            view = await self._store.look(PeekClosed())
        except StoreError as error:
            self._failed("closed billers", error)
            return
        if not isinstance(view, ClosedView):
            raise TypeError(type(view).__name__)
        now = self._clock.monotonic()
        self._until = {biller: now + ms / 1000 for biller, ms in view.closed_ms.items()}
