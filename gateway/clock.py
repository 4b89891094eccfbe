"""The clocks of the product; everything else is given a contracts.clock.Clock."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

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


class BookClock:
    """A Clock whose wall time is the book's: dates, windows and signatures must not depend on which process acts.

    own: the machine's clock. Until the first correction it is believed.
    """

    def __init__(self, own: Clock) -> None:
        self.own = own
        self._ahead = timedelta()
        self.monotonic, self.boottime, self.sleep = own.monotonic, own.boottime, own.sleep

    def correct(self, seconds: float) -> None:
        """The book's clock less the machine's."""
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The book's wall clock, aware UTC, as far as it is known here."""
        return self.own.now() + self._ahead


def now_ms(clock: Clock) -> int:
    """Whole milliseconds since the epoch, by the wall clock."""
    moment = clock.now()
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
