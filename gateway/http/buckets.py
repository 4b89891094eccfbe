"""How often a station may ask: a token bucket each, refilled by the clock."""

from collections import OrderedDict

KEPT = 100_000
"""Stations remembered; the one that asked longest ago is forgotten first, which only ever gives it more."""


class Buckets:
    """rate: tokens a second; burst: how many a rested station has. Times in seconds on one monotonic clock."""

    def __init__(self, rate: int, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, now: float) -> int:
        """0 and a token less, or the whole seconds after which one is there."""
        tokens, at = self._left.pop(who, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - at) * self._rate)
        allowed = tokens >= 1
        self._left[who] = (tokens - 1 if allowed else tokens, now)
        if len(self._left) > KEPT:
            self._left.popitem(last=False)
        return 0 if allowed else max(1, round((1 - tokens) / self._rate))
