"""Every result by name; a run on a noisy machine is marked and repeated, as long as there is time."""

import time
from collections.abc import Callable, Mapping

from tests.bench import accept, dead_neighbour, end_to_end, growth, idle_memory, in_flight, start_up
from tests.bench.options import Options
from tests.bench.quiet import is_quiet, loudness
from tests.bench.results import Result

RUNS: Mapping[str, Callable[[Options], list[Result]]] = {
    "accept_sqlite": accept.sqlite,
    "accept_postgres": accept.postgres,
    "end_to_end_embedded": end_to_end.embedded,
    "in_flight_100ms": in_flight.slow_biller,
    "dead_neighbour": dead_neighbour.measure,
    "growth_10m": growth.measure,
    "idle_memory": idle_memory.measure,
    "start_up": start_up.measure,
}
TRIES = 3


def run_quietly(
    run: Callable[[], list[Result]], time_is_left: Callable[[float], bool], tries: int = TRIES
) -> list[Result]:
    """The results of the quietest of at most so many tries; the first quiet one ends them.

    time_is_left(seconds): whether one more try, that will take about so long, may begin.
    """
    found: list[list[Result]] = []
    while True:
        begun = time.monotonic()
        found.append(run())
        took = time.monotonic() - begun
        if is_quiet(found[-1]) or len(found) == tries or not time_is_left(took):
            break
    return [result.with_settings(tries=len(found)) for result in min(found, key=loudness)]
