"""Our processes as /proc sees them: who descends from whom, CPU seconds, memory."""

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KTHREADD = 2


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat. ticks: its own and those of its children that have ended and been waited for."""

    pid: int
    parent: int
    state: str
    ticks: int


def parse_stat(text: str) -> Process:
    """Read a stat line; the name in brackets may hold anything."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return Process(int(pid), int(fields[1]), fields[0], sum(map(int, fields[11:15])))


def processes() -> Mapping[int, Process]:
    """Every process there is, by its id."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                process = parse_stat(Path(f"/proc/{entry}/stat").read_text(errors="replace"))
                found[process.pid] = process
    return found


def family(root: int, table: Mapping[int, Process]) -> set[int]:
    """root and all that descend from it."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        if pid in table and pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def cpu_s(pids: Iterable[int], table: Mapping[int, Process]) -> float:
    """CPU seconds of these processes since they began, with those of their ended children."""
    return sum(table[pid].ticks for pid in pids) * TICK_S


def memory_mib(pids: Iterable[int]) -> tuple[float, float]:
    """Resident and proportional memory of these processes together, in MiB; shared pages count once in the second."""
    kib = {"Rss": 0, "Pss": 0}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in kib:
                    kib[name] += int(rest.split()[0])
    return kib["Rss"] / 1024, kib["Pss"] / 1024


def end_family(root: int, patience_s: float) -> None:
    """SIGTERM to a process we started; after patience_s SIGKILL to it and whatever descends from it."""
    known = family(root, processes())
    with suppress(ProcessLookupError):
        os.kill(root, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and _living(known):
        time.sleep(0.02)
        known |= family(root, processes())
    for pid in _living(known):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _living(pids: Iterable[int]) -> list[int]:
    table = processes()
    return [pid for pid in pids if pid in table and table[pid].state != "Z"]
