"""How many calls a partner takes at once and per second: plain counting, time comes in as an argument."""

from collections import deque

WINDOW_S = 1.0
"""The window of the rate, in seconds."""


class Slots:
    """Concurrency slots and rate tokens of one biller in one process, taken and given together.

    concurrency: calls at once, ≥ 0. rate_per_s: calls in any window of one second, ≥ 0. A token comes back exactly
    one second after it was taken, so that no window, however placed, holds more: a bucket that refills evenly would
    let a full bucket and its refill through in one second, and the partner would refuse the excess.
    A limit over several processes is divided among them by whoever sizes the Slots. Raises ValueError below 0.
    """

    def __init__(self, concurrency: int, rate_per_s: int) -> None:
        self._in_use = 0
        self._taken_at: deque[float] = deque()
        self.resize(concurrency, rate_per_s)

    def resize(self, concurrency: int, rate_per_s: int) -> None:
        """Other limits from now on. Below what is in use nothing is taken back; less is in use as calls end."""
        if concurrency < 0 or rate_per_s < 0:
            raise ValueError("concurrency and rate_per_s must be at least 0")
        self.concurrency, self.rate_per_s = concurrency, rate_per_s

    def in_use(self) -> int:
        """Slots taken and not yet released."""
        return self._in_use

    def tokens_out(self, now: float) -> int:
        """Tokens taken within the second before `now`."""
        self._forget(now)
        return len(self._taken_at)

    def try_take(self, now: float) -> bool:
        """Take one slot and one token, or nothing. now: Clock.monotonic(), seconds, never going back."""
        if self.free(now) == 0:
            return False
        self._in_use += 1
        self._taken_at.append(now)
        return True

    def free(self, now: float) -> int:
        """How many try_take would succeed in a row at this moment."""
        return max(0, min(self.concurrency - self._in_use, self.rate_per_s - self.tokens_out(now)))

    def release(self) -> None:
        """Give the slot back; its token returns by time alone. Raises ValueError if none is taken."""
        if self._in_use == 0:
            raise ValueError("released more slots than were taken")
        self._in_use -= 1

    def next_at(self, now: float) -> float | None:
        """When try_take may succeed: `now`, a later second, or None where only a release or a resize can help."""
        out = self.tokens_out(now)
        if self._in_use >= self.concurrency or self.rate_per_s == 0:
            return None
        return now if out < self.rate_per_s else self._taken_at[out - self.rate_per_s] + WINDOW_S

    def _forget(self, now: float) -> None:
        # Compared as a sum, exactly as next_at computes it: else a caller that waits until next_at may find nothing.
        while self._taken_at and self._taken_at[0] + WINDOW_S <= now:
            self._taken_at.popleft()
