"""A simulator's clock, real or standing still, moved by hand, and what it wakes."""

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import count

BEIJING = timezone(timedelta(hours=8))
"""The zone of every partner."""


@lru_cache(maxsize=4096)
def stamp(epoch_s: int) -> str:
    """Epoch seconds as 14 digits of Beijing time; "" for 0, which stands for "not yet"."""
    return datetime.fromtimestamp(epoch_s, BEIJING).strftime("%Y%m%d%H%M%S") if epoch_s else ""


@lru_cache(maxsize=4096)
def read_stamp(text: str) -> int | None:
    """14 digits of Beijing time as epoch seconds, None where they are no time."""
    if len(text) != 14 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).timestamp())
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def read_date(text: str) -> date | None:
    """Eight digits as a date, None where they are none."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


class SimulatorClock:
    """A partner's time: real, or standing still at `fixed_at`, in both cases moved by `offset_s`.

    now_s() stamps records and decides dates. timer() orders what happens later (results, notices, validity): it runs
    with real time even where now_s() stands still, and moves with the offset. cut_over_s: how many seconds before
    midnight the partner's accounting date begins.
    """

    def __init__(self, fixed_at: int | None = None, *, cut_over_s: int = 0) -> None:
        self._fixed_at, self._cut_over_s = fixed_at, cut_over_s
        self.offset_s = 0

    def now_s(self) -> int:
        """Now, in whole epoch seconds."""
        return (int(time.time()) if self._fixed_at is None else self._fixed_at) + self.offset_s

    def now_stamp(self) -> str:
        """Now, as 14 digits."""
        return stamp(self.now_s())

    def timer(self) -> float:
        """Seconds for ages and due times; comparable over restarts where the offset is the same."""
        return time.time() + self.offset_s

    def steady(self) -> float:
        """Seconds that nothing moves: for rates, and for forgetting what real time has made old."""
        return time.monotonic()

    def local(self) -> datetime:
        """Now, in Beijing."""
        return datetime.fromtimestamp(self.now_s(), UTC).astimezone(BEIJING)

    def acct_date(self) -> str:
        """The accounting date of this moment, yyyyMMdd."""
        return stamp(self.now_s() + self._cut_over_s)[:8]


class Timers:
    """Things to do at a time of `clock.timer()`, in the order of that time, on the running event loop."""

    def __init__(self, clock: SimulatorClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._armed: asyncio.TimerHandle | None = None
        self._closed = False

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Do this once when the time has come, never before this call has returned."""
        heapq.heappush(self._heap, (due, next(self._order), action))
        if self._heap[0][2] is action:
            self._arm()

    def run_due(self) -> None:
        """Do now whatever is due: after the clock was moved."""
        while self._heap and self._heap[0][0] <= self._clock.timer():
            heapq.heappop(self._heap)[2]()
        self._arm()

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        if self._heap and not self._closed:
            delay = max(0.0, self._heap[0][0] - self._clock.timer())
            # Far timers are looked at again every minute: real clocks are stepped, the loop's own clock is not.
            self._armed = asyncio.get_running_loop().call_later(min(delay, 60.0), self.run_due)
