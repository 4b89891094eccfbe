"""The one clock of the product; everything else is given a contracts.clock.Clock."""

import asyncio
import time
from datetime import UTC, datetime

from contracts.clock import Clock


class SystemClock:
    """contracts.clock.Clock over the machine's clocks."""

    def now(self) -> datetime:
        """The wall clock, aware UTC: for records, never for durations."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds for durations; stands still while the machine sleeps."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds on a clock that runs through suspension: a machine that slept past `send_by` must notice."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def now_ms(clock: Clock) -> int:
    """Whole milliseconds since the epoch, by the wall clock."""
    moment = clock.now()
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
