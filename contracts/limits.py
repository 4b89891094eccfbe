"""How many calls a partner takes at once and per second: plain counting, time comes in as an argument."""

from collections import deque

WINDOW_S = 1.0
"""The window of the rate, in seconds."""


class Slots:
    """Concurrency slots and rate tokens of one biller in one process, taken and given together.

    concurrency: calls at once, ≥ 1. rate_per_s: calls in any window of one second, ≥ 1. A token comes back exactly
    one second after it was taken, so that no window, however placed, holds more: a bucket that refills evenly would
    let a full bucket and its refill through in one second, and the partner would refuse the excess.
    A limit over several processes is divided among them by whoever builds the Slots. Raises ValueError below 1.
    """

    def __init__(self, concurrency: int, rate_per_s: int) -> None:
        if concurrency < 1 or rate_per_s < 1:
            raise ValueError("concurrency and rate_per_s must be at least 1")
        self._free = self._concurrency = concurrency
        self._rate = rate_per_s
        self._taken_at: deque[float] = deque()

    def in_use(self) -> int:
        """Slots taken and not yet released."""
        return self._concurrency - self._free

    def try_take(self, now: float) -> bool:
        """Take one slot and one token, or nothing. now: Clock.monotonic(), seconds, never going back."""
        self._forget(now)
        if self._free == 0 or len(self._taken_at) >= self._rate:
            return False
        self._free -= 1
        self._taken_at.append(now)
        return True

    def free(self, now: float) -> int:
        """How many try_take would succeed in a row at this moment."""
        self._forget(now)
        return min(self._free, self._rate - len(self._taken_at))

    def release(self) -> None:
        """Give the slot back; its token returns by time alone. Raises ValueError if none is taken."""
        if self._free == self._concurrency:
            raise ValueError("released more slots than were taken")
        self._free += 1

    def next_at(self, now: float) -> float | None:
        """When try_take may succeed: `now`, a later second, or None where only a release can help."""
        self._forget(now)
        if self._free == 0:
            return None
        return now if len(self._taken_at) < self._rate else self._taken_at[0] + WINDOW_S

    def _forget(self, now: float) -> None:
        # Compared as a sum, exactly as next_at computes it: else a caller that waits until next_at may find nothing.
        while self._taken_at and self._taken_at[0] + WINDOW_S <= now:
            self._taken_at.popleft()
