"""Was the machine ours while we measured? CPU that others used, and that the hypervisor took, in cores."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.processes import KTHREADD, TICK_S, cpu_s, family, processes
from tests.bench.results import Result

LIMIT_CORES = 0.25


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Seconds since boot. busy: all CPUs together, without steal; ours, kernel: parts of busy."""

    at: float
    busy_s: float
    steal_s: float
    ours_s: float
    kernel_s: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What passed between two snapshots. elapsed in seconds; foreign and steal in cores."""

    elapsed_s: float
    ours_s: float
    foreign_cores: float
    steal_cores: float

    @property
    def quiet(self) -> bool:
        """Whether neither others nor the hypervisor took more than the limit."""
        return max(self.foreign_cores, self.steal_cores) <= LIMIT_CORES


def parse_cpu(line: str) -> tuple[float, float]:
    """(busy, steal) seconds of the first line of /proc/stat. Guests' time is part of user time already."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in line.split()[1:9])
    return (user + nice + system + irq + softirq) * TICK_S, steal * TICK_S


def snapshot() -> Snapshot:
    """Now."""
    with Path("/proc/stat").open() as file:
        busy_s, steal_s = parse_cpu(file.readline())
    table = processes()
    # Writing back and journalling for us is done by kernel threads: they are neither ours nor foreign.
    kernel = [process.pid for process in table.values() if KTHREADD in (process.pid, process.parent)]
    ours = family(os.getpid(), table)
    return Snapshot(time.perf_counter(), busy_s, steal_s, cpu_s(ours, table), cpu_s(kernel, table))


def between(begin: Snapshot, end: Snapshot) -> Spent:
    """What passed. A clock tick's error may make foreign slightly negative: it is cut to 0."""
    elapsed = end.at - begin.at
    foreign = (end.busy_s - begin.busy_s) - (end.ours_s - begin.ours_s) - (end.kernel_s - begin.kernel_s)
    return Spent(
        elapsed,
        end.ours_s - begin.ours_s,
        max(0.0, foreign / elapsed),
        max(0.0, (end.steal_s - begin.steal_s) / elapsed),
    )


class Window:
    """`with Window() as window: …`, then window.spent."""

    spent: Spent

    def __enter__(self) -> Self:
        self._begin = snapshot()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.spent = between(self._begin, snapshot())


def mark(result: Result, spent: Spent) -> Result:
    """A result with how quiet it was while it was measured."""
    return result.with_settings(
        quiet=spent.quiet, foreign_cores=round(spent.foreign_cores, 3), steal_cores=round(spent.steal_cores, 3)
    )


def loudness(results: Sequence[Result]) -> float:
    """The worst moment of a try, in cores; what is not marked was not disturbed."""
    return max((_cores(it, "foreign_cores", "steal_cores") for it in results), default=0.0)


def _cores(result: Result, *keys: str) -> float:
    return max(float(result.settings.get(key, 0)) for key in keys)


def is_quiet(results: Sequence[Result]) -> bool:
    """Whether every result of a try was measured on a quiet machine."""
    return loudness(results) <= LIMIT_CORES
