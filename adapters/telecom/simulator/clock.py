"""The platform's clock and calendar (telecom interface 3.4 s1, s4)."""

from adapters.kit.clock import BEIJING, SimulatorClock, Timers, read_date, read_stamp, stamp

__all__ = ["BEIJING", "PlatformClock", "Timers", "read_date", "read_stamp", "stamp"]
_CUT_OVER_S = 3600


class PlatformClock(SimulatorClock):
    """The accounting date D covers [D-1 23:00:00, D 23:00:00) (s4)."""

    def __init__(self, fixed_at: int | None = None) -> None:
        super().__init__(fixed_at, cut_over_s=_CUT_OVER_S)
