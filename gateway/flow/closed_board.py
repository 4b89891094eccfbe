"""Which billers the breakers hold closed, told by the process that runs the flow to the fronts forked beside it."""

import mmap
import struct
from collections.abc import Sequence

from contracts.clock import Clock

_UNTIL = struct.Struct("d")


class ClosedBoard:
    """Shared memory of one moment per biller, on Clock.monotonic() (one clock for the processes of a machine).

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
