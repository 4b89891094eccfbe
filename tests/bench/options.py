"""What a run of the bench is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """measure_s: seconds each load is counted. full: sizes of design s9 instead of such as fit into minutes."""

    measure_s: float = 15.0
    full: bool = False
