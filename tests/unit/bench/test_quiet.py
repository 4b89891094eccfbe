"""Foreign load: what is ours, what is the kernel's, what is others'; and what a noisy run leads to."""

import os
import subprocess
import sys

import pytest

from tests.bench import quiet
from tests.bench.processes import TICK_S, Process, cpu_s, family, parse_stat, processes
from tests.bench.quiet import LIMIT_CORES, Snapshot, Spent, between, is_quiet, mark, parse_cpu
from tests.bench.results import NAMES, Result
from tests.bench.runs import DEADLINE_S, USUAL_S, has_time, run_quietly


def _result(foreign: float, steal: float = 0.0) -> Result:
    return mark(Result(name="start_up", settings={}), Spent(10.0, 1.0, foreign, steal))


def test_stat_line_with_a_name_that_tries_to_confuse() -> None:
    line = "42 (a) R 1 (b) S 7 42 42 0 -1 4194560 1 2 0 0 100 50 20 10 20 0 1 0 5 6 7"
    assert parse_stat(line) == Process(42, 7, "S", 180)


def test_family_is_root_and_descendants_only() -> None:
    table = {
        pid: Process(pid, parent, "S", 10) for pid, parent in ((1, 0), (2, 0), (10, 1), (11, 10), (12, 11), (20, 2))
    }
    assert family(10, table) == {10, 11, 12}
    assert family(99, table) == set()
    assert cpu_s(family(10, table), table) == pytest.approx(30 * TICK_S)


def test_cpu_line_counts_no_guest_twice_and_no_idle() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    busy, steal = parse_cpu("cpu  100 20 30 9999 5000 4 6 40 70 20")
    assert busy == pytest.approx(160 * TICK_S)
    assert steal == pytest.approx(40 * TICK_S)


def test_foreign_is_busy_without_ours_and_the_kernel() -> None:
    begin = Snapshot(100.0, busy_s=50.0, steal_s=1.0, ours_s=5.0, kernel_s=2.0)
    end = Snapshot(110.0, busy_s=67.0, steal_s=2.0, ours_s=15.0, kernel_s=4.0)
    spent = between(begin, end)
    assert spent.elapsed_s == 10.0
    assert spent.ours_s == 10.0
    assert spent.foreign_cores == pytest.approx(0.5)
    assert spent.steal_cores == pytest.approx(0.1)
    assert not spent.quiet


@pytest.mark.parametrize(
    ("foreign", "steal", "expected"),
    [(0.0, 0.0, True), (0.25, 0.25, True), (0.251, 0.0, False), (0.0, 0.251, False)],
)
def test_the_limit_is_a_quarter_of_a_core_of_either(foreign: float, steal: float, expected: bool) -> None:
    assert LIMIT_CORES == 0.25
    assert Spent(1.0, 0.0, foreign, steal).quiet is expected
    assert _result(foreign, steal).settings["quiet"] is expected
    assert is_quiet([_result(0.0), _result(foreign, steal)]) is expected


def test_foreign_is_never_negative() -> None:
    begin = Snapshot(0.0, busy_s=0.0, steal_s=0.0, ours_s=0.0, kernel_s=0.0)
    assert between(begin, Snapshot(1.0, busy_s=0.5, steal_s=0.0, ours_s=0.6, kernel_s=0.0)).foreign_cores == 0.0


def test_our_own_and_our_childrens_work_is_ours() -> None:
    begin, before = quiet.snapshot(), os.times()
    subprocess.run([sys.executable, "-c", "sum(range(6_000_000))"], check=True)
    sum(range(3_000_000))
    after = os.times()
    spent = between(begin, quiet.snapshot())
    expected = sum(after[:4]) - sum(before[:4])
    assert expected > 0.1
    assert spent.ours_s == pytest.approx(expected, abs=0.06)


def test_a_process_outside_our_family_is_not_ours() -> None:
    assert os.getppid() not in family(os.getpid(), processes())


def _run(*loud: float) -> tuple[list[Result], int]:
    tries = iter(loud)
    count = 0

    def run() -> list[Result]:
        nonlocal count
        count += 1
        return [_result(next(tries))]

    return run_quietly(run, lambda _took: True), count


def test_a_quiet_run_is_not_repeated() -> None:
    (result,), count = _run(0.1)
    assert count == 1
    assert result.settings["tries"] == 1


def test_a_noisy_run_is_repeated_until_it_is_quiet() -> None:
    (result,), count = _run(0.9, 0.2, 0.0)
    assert count == 2
    assert result.settings["foreign_cores"] == 0.2
    assert result.settings["quiet"] is True


def test_after_two_repeats_the_quietest_is_reported_and_marked() -> None:
    (result,), count = _run(0.9, 0.4, 0.7)
    assert count == 3
    assert result.settings == {"foreign_cores": 0.4, "steal_cores": 0.0, "quiet": False, "tries": 3}


def test_without_time_left_nothing_is_repeated() -> None:
    results = run_quietly(lambda: [_result(0.9)], lambda _took: False)
    assert [result.settings["tries"] for result in results] == [1]


def test_a_repeat_leaves_time_for_what_comes_later() -> None:
    assert set(USUAL_S) == set(NAMES)
    assert sum(USUAL_S.values()) < DEADLINE_S
    assert has_time(DEADLINE_S - 20, 20, [])
    assert not has_time(DEADLINE_S - 20, 21, [])
    assert has_time(DEADLINE_S - 20 - USUAL_S["start_up"], 20, ["start_up"])
    assert not has_time(DEADLINE_S - 20 - USUAL_S["start_up"], 20, ["idle_memory", "start_up"])
