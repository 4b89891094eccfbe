"""Clocks for the terminal's tests."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class FastClock:
    """A Clock over the real one: waiting and deadlines run `speed` times as fast, `now` is off by skew."""

    def __init__(self, speed: int = 1, skew: timedelta = timedelta()) -> None:
        self.speed, self.skew = speed, skew
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def boottime(self) -> float:
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(seconds / self.speed)
