"""Waiting with a name and an end."""

import time
from collections.abc import Callable

DECIDED_S = 90.0


def until_so(condition: Callable[[], object], what: str, seconds: float = DECIDED_S) -> None:
    """Wait for it. Raises AssertionError naming it where it does not come."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
