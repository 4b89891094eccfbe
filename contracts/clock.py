"""Time comes in through this port; tests pass a fake."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """now(): aware UTC, for records. monotonic(): seconds, for durations. boottime(): seconds on a clock that runs
    through suspension, for `send_by` (design s3.5). sleep(): waits, in seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def boottime(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...
