"""The form of var/bench/latest.json against api s3, the table, and the budgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import runs
from tests.bench.budgets import judge
from tests.bench.in_flight import steady_rate
from tests.bench.results import NAMES, Latest, Machine, Reference, Result, tidy, write
from tests.bench.table import render

API_NAMES = (
    "accept_sqlite accept_postgres end_to_end_embedded end_to_end_kafka_postgres in_flight_100ms dead_neighbour "
    "match_10m growth_10m idle_memory start_up"
).split()
OWN_NAMES = {"token_sign", "verify_signature", "audit_verify", "tv_adapter"}
"""Figures of our own beside those that outsiders rely on."""
MACHINE = Machine(cores=2, memory_mib=24105, python="3.11.7", disk_fsync_per_s=684.123)
ACCEPT = Result(
    name="accept_sqlite",
    settings={"http_processes": 1, "foreign_cores": 0.0123412, "quiet": True},
    per_s=1234.5678,
    p50_ms=51.23456,
    p99_ms=90.1,
    cpu_s_per_1000=0.7777777,
).compared(Reference(name="bare_post", per_s=6042.79), Reference(name="floor", per_s=1543.21))


def _written(folder: Path, *results: Result) -> Any:
    path = folder / "var" / "bench" / "latest.json"
    write(Latest(at="2026-11-24T04:00:00Z", machine=MACHINE, results=[tidy(it) for it in results]), path)
    assert [it.name for it in path.parent.iterdir()] == ["latest.json"]
    return json.loads(path.read_text())


def test_the_file_has_exactly_the_members_of_the_api(tmp_path: Path) -> None:
    found = _written(tmp_path, ACCEPT, Result(name="idle_memory", settings={"pss_mib": 65.0}))
    assert list(found) == ["at", "machine", "results"]
    assert found["machine"] == {"cores": 2, "memory_mib": 24105, "python": "3.11.7", "disk_fsync_per_s": 684.123}
    members = ["name", "settings", "per_s", "p50_ms", "p99_ms", "cpu_s_per_1000", "references", "ratio"]
    assert [list(result) for result in found["results"]] == [members, members]
    first, second = found["results"]
    assert first["references"] == [{"name": "bare_post", "per_s": 6043.0}, {"name": "floor", "per_s": 1543.0}]
    assert second["per_s"] is None
    assert second["references"] == []


def test_figures_are_rounded_to_what_they_are_worth(tmp_path: Path) -> None:
    (first,) = _written(tmp_path, ACCEPT)["results"]
    assert first["per_s"] == 1235.0
    assert first["cpu_s_per_1000"] == 0.7778
    assert first["ratio"] == 0.8
    assert first["settings"] == {"http_processes": 1, "foreign_cores": 0.01234, "quiet": True}


def test_a_second_run_replaces_the_file(tmp_path: Path) -> None:
    _written(tmp_path, ACCEPT)
    assert len(_written(tmp_path, ACCEPT, ACCEPT)["results"]) == 2


def test_names_are_those_of_the_api_and_each_has_its_run() -> None:
    assert set(NAMES) - OWN_NAMES < set(API_NAMES)
    assert [name for name in API_NAMES if name in NAMES] == [name for name in NAMES if name not in OWN_NAMES]
    assert tuple(runs.RUNS) == NAMES


def test_the_ratio_is_to_the_last_reference() -> None:
    assert ACCEPT.ratio == pytest.approx(1234.5678 / 1543.21)


def test_the_table_shows_figures_budget_and_settings() -> None:
    noisy = ACCEPT.with_settings(quiet=False)
    text = render(MACHINE, [tidy(ACCEPT), tidy(noisy)])
    assert "2 cores, 24105 MiB, Python 3.11.7, 684 fsyncs/s" in text
    assert "accept_sqlite: ratio >= 0.7 of floor (aim 0.8); p99 <= 2 x 64 / rate: reached\n" in text
    assert text.count("reached as measured, but NOISY: no verdict") == 1
    assert "per_s 1,235  p50_ms 51.23  p99_ms 90.1  cpu_s_per_1000 0.7778  ratio 0.8" in text
    assert "http_processes=1" in text
    assert "floor 1,543/s" in text


@pytest.mark.parametrize(
    ("name", "settings", "figures", "met"),
    [
        ("accept_sqlite", {}, {"per_s": 1000.0, "p99_ms": 128.0, "ratio": 0.7}, True),
        ("accept_sqlite", {}, {"per_s": 1000.0, "p99_ms": 128.1, "ratio": 0.7}, False),
        ("accept_sqlite", {}, {"per_s": 1000.0, "p99_ms": 64.0, "ratio": 0.69}, False),
        ("accept_postgres", {"gateways": 1}, {"per_s": 1000.0, "ratio": 0.5}, True),
        ("accept_postgres", {"gateways": 1}, {"per_s": 1000.0, "ratio": 0.49}, False),
        ("accept_postgres", {"gateways": 2}, {"per_s": 1000.0, "ratio": 0.1}, None),
        ("end_to_end_embedded", {}, {"per_s": 999.0}, False),
        ("in_flight_100ms", {"answer_ms": 100}, {"ratio": 0.9}, True),
        ("in_flight_100ms", {"answer_ms": 100}, {"ratio": 0.89}, False),
        ("in_flight_100ms", {"answer_ms": 10_000, "most_at_biller": 2000, "lost": 0, "more_mib": 150.0}, {}, True),
        ("in_flight_100ms", {"answer_ms": 10_000, "most_at_biller": 1999, "lost": 0, "more_mib": 1.0}, {}, False),
        ("in_flight_100ms", {"answer_ms": 10_000, "most_at_biller": 2000, "lost": 1, "more_mib": 1.0}, {}, False),
        ("in_flight_100ms", {"answer_ms": 10_000, "most_at_biller": 2000, "lost": 0, "more_mib": 151.0}, {}, False),
        ("dead_neighbour", {"biller_ms": 20, "p50_ms_healthy": 200.0}, {"ratio": 1.19}, True),
        ("dead_neighbour", {"biller_ms": 20, "p50_ms_healthy": 200.0}, {"ratio": 1.2}, False),
        ("dead_neighbour", {"biller_ms": 20, "p50_ms_healthy": 201.0}, {"ratio": 1.0}, None),
        ("growth_10m", {"stored": 10_000_000, "commit_ratio": 1.2}, {"ratio": 1.2}, True),
        ("growth_10m", {"stored": 10_000_000, "commit_ratio": 1.3}, {"ratio": 1.0}, False),
        ("growth_10m", {"stored": 10_000_000}, {"ratio": 1.0}, None),
        ("growth_10m", {"stored": 300_000, "commit_ratio": 1.0}, {"ratio": 1.0}, None),
        ("idle_memory", {"pss_mib": 150.5}, {}, False),
        ("start_up", {"ready_ms": 1500.0, "help_ms": 200.0}, {}, True),
        ("start_up", {"ready_ms": 1400.0, "help_ms": 201.0}, {}, False),
    ],
)
def test_budgets(name: str, settings: dict[str, Any], figures: dict[str, float], met: bool | None) -> None:
    assert judge(Result(name=name, settings=settings, **figures)).met is met  # type: ignore[arg-type]


def test_every_name_has_a_budget() -> None:
    for name in NAMES:
        assert judge(Result(name=name, settings={})).budget


def test_steady_rate_leaves_the_edges_out() -> None:
    # A burst of 500 at the start, then 100 a second for four seconds, then a straggler.
    finals = [0] * 500 + [at * 10 for at in range(1, 401)] + [5000]
    assert steady_rate(finals, edge_s=1.0) == pytest.approx(100, rel=0.01)
    with pytest.raises(ValueError, match="edges"):
        steady_rate([0, 1500], edge_s=1.0)
