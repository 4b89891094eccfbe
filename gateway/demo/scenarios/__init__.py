"""The stories of the day, each in the file of its subject; DAY lists them."""

from collections.abc import Sequence

from gateway.demo.scenarios import crash, desk, doubt, everyday, keys, limits, outage, requests, tv
from gateway.demo.stage import Scenario

DAY: Sequence[Scenario] = (
    *crash.SCENARIOS,
    *outage.SCENARIOS,
    *everyday.SCENARIOS,
    *doubt.SCENARIOS,
    *desk.SCENARIOS,
    *requests.SCENARIOS,
    *tv.SCENARIOS,
    *limits.SCENARIOS,
    *keys.SCENARIOS,
)
"""In the order of the summary; how they run is decided by what each waits for."""
