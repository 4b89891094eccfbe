"""What design s9 asks for, and whether a result reaches it. Nothing here fails a run: it is reported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.results import Result, Setting

STORED = 10_000_000
SATURATED = 10
"""A median above so many times the biller's own answer time means that the load was not carried."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """budget: its text. met: None where the figure to compare with is missing."""

    budget: str
    met: bool | None


def judge(result: Result) -> Verdict:
    """A result beside its budget."""
    return _RULES[result.name](result)


def _number(value: Setting | None) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _all(*found: bool | None) -> bool | None:
    return None if None in found else all(found)


def _least(value: float | None, least: float) -> bool | None:
    return None if value is None else value >= least


def _most(value: float | None, most: float) -> bool | None:
    return None if value is None else value <= most


def _accept_sqlite(result: Result) -> Verdict:
    aim = 0.9 if result.settings.get("http_processes") == 2 else 0.8
    p99 = None
    if result.per_s and result.p99_ms is not None:
        p99 = result.p99_ms <= 2 * 64 / result.per_s * 1000
    return Verdict(f"ratio >= 0.7 of floor (aim {aim}); p99 <= 2 x 64 / rate", _all(_least(result.ratio, 0.7), p99))


def _accept_postgres(result: Result) -> Verdict:
    if result.settings.get("gateways") == 2:
        # Two gateways, PostgreSQL and the load share this machine's cores; the bar is for a server of its own.
        return Verdict("two gateways >= 1.6 x one where PostgreSQL has cores of its own", None)
    return Verdict("ratio >= 0.5 of floor (aim 0.6)", _least(result.ratio, 0.5))


def _end_to_end(result: Result) -> Verdict:
    return Verdict(">= 1,000/s (aim 1,500/s), about 1 ms of CPU each", _least(result.per_s, 1000))


def _end_to_end_kafka(result: Result) -> Verdict:
    return Verdict(">= 600/s (aim 1,000/s), all on two cores", _least(result.per_s, 600))


def _in_flight(result: Result) -> Verdict:
    if result.settings.get("answer_ms") == 10_000:
        lost, more = _number(result.settings.get("lost")), _number(result.settings.get("more_mib"))
        held = _number(result.settings.get("most_at_biller"))
        return Verdict(
            "2,000 in flight, none lost, <= 150 MiB more", _all(_least(held, 2000), _most(lost, 0), _most(more, 150))
        )
    return Verdict("within 10 % of concurrency / latency", _least(result.ratio, 0.9))


def _dead_neighbour(result: Result) -> Verdict:
    healthy, answer = _number(result.settings.get("p50_ms_healthy")), _number(result.settings.get("biller_ms"))
    # A machine that cannot carry the load shows its own queue, not the neighbour.
    carried = healthy is not None and answer is not None and healthy <= SATURATED * answer
    met = result.ratio < 1.2 if carried and result.ratio is not None else None
    return Verdict("p99 rises by < 20 %", met)


def _growth(result: Result) -> Verdict:
    commit = _number(result.settings.get("commit_ratio"))
    met = _all(_most(result.ratio, 1.2), _most(commit, 1.2))
    enough = (_number(result.settings.get("stored")) or 0) >= STORED
    return Verdict("with 10 million stored, accept and commit p99 <= 1.2 x those with 10,000", met if enough else None)


def _idle(result: Result) -> Verdict:
    return Verdict("<= 150 MiB idle", _most(_number(result.settings.get("pss_mib")), 150))


def _start_up(result: Result) -> Verdict:
    ready, shown = _number(result.settings.get("ready_ms")), _number(result.settings.get("help_ms"))
    return Verdict("ready <= 1.5 s, --help <= 0.2 s", _all(_most(ready, 1500), _most(shown, 200)))


def _token_sign(result: Result) -> Verdict:
    return Verdict("no bar: a USB key takes hundreds of ms", None)


def _tv_adapter(result: Result) -> Verdict:
    return Verdict("no bar of its own: the shared transport's cost", None)


def _verify_signature(result: Result) -> Verdict:
    return Verdict("no bar of its own: part of the floor of accept", None)


def _audit_verify(result: Result) -> Verdict:
    if result.settings.get("signatures"):
        return Verdict("every signature again, per core: no bar", None)
    return Verdict(">= 50,000 records/s by hash", _least(result.per_s, 50_000))


_RULES: Mapping[str, Callable[[Result], Verdict]] = {
    "accept_sqlite": _accept_sqlite,
    "accept_postgres": _accept_postgres,
    "end_to_end_embedded": _end_to_end,
    "end_to_end_kafka_postgres": _end_to_end_kafka,
    "in_flight_100ms": _in_flight,
    "dead_neighbour": _dead_neighbour,
    "growth_10m": _growth,
    "idle_memory": _idle,
    "start_up": _start_up,
    "token_sign": _token_sign,
    "tv_adapter": _tv_adapter,
    "verify_signature": _verify_signature,
    "audit_verify": _audit_verify,
}
