"""Every result by name; a run on a noisy machine is marked and repeated, as long as there is time."""

import time
from collections.abc import Callable, Iterable, Mapping

from tests.bench import (
    accept,
    dead_neighbour,
    end_to_end,
    evidence,
    growth,
    idle_memory,
    in_flight,
    start_up,
    token_sign,
    tv_adapter,
)
from tests.bench.options import Options
from tests.bench.quiet import is_quiet, loudness
from tests.bench.results import Result

RUNS: Mapping[str, Callable[[Options], list[Result]]] = {
    "accept_sqlite": accept.sqlite,
    "accept_postgres": accept.postgres,
    "end_to_end_embedded": end_to_end.embedded,
    "end_to_end_kafka_postgres": end_to_end.kafka_postgres,
    "in_flight_100ms": in_flight.slow_biller,
    "dead_neighbour": dead_neighbour.measure,
    "growth_10m": growth.measure,
    "idle_memory": idle_memory.measure,
    "start_up": start_up.measure,
    "token_sign": token_sign.measure,
    "tv_adapter": tv_adapter.measure,
    "verify_signature": evidence.verify_signature,
    "audit_verify": evidence.audit_verify,
}
TRIES = 3
DEADLINE_S = 15 * 60
USUAL_S: Mapping[str, int] = {
    "accept_sqlite": 65,
    "accept_postgres": 85,
    "end_to_end_embedded": 55,
    "end_to_end_kafka_postgres": 190,
    "in_flight_100ms": 110,
    "dead_neighbour": 75,
    "growth_10m": 130,
    "idle_memory": 10,
    "start_up": 20,
    "token_sign": 10,
    "tv_adapter": 8,
    "verify_signature": 4,
    "audit_verify": 12,
}
"""What each takes on a quiet machine: a repeat must leave so much for those that come after it."""


def has_time(elapsed_s: float, took_s: float, later: Iterable[str]) -> bool:
    """Whether one more try as long as the last still leaves time for the results that come later."""
    return elapsed_s + took_s + sum(USUAL_S[name] for name in later) <= DEADLINE_S


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
