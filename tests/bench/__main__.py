"""`python -m tests.bench [NAME …] [--full]`."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import table
from tests.bench.installation import ROOT
from tests.bench.machine import look_at_machine
from tests.bench.options import Options
from tests.bench.results import NAMES, BenchError, Latest, Result, tidy, write
from tests.bench.runs import RUNS, has_time, run_quietly

OUT = ROOT / "var" / "bench" / "latest.json"


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the budgets of design s9.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--full", action="store_true", help="sizes of the design: takes hours instead of minutes")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each load is counted")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"no such result: {', '.join(unknown)}")
    # Whoever stops the bench wants its processes and folders gone: an exit by exception cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = Options(measure_s=given.seconds, full=given.full)
    wanted = [name for name in NAMES if name in given.names or not given.names]
    begun = time.monotonic()
    with TemporaryDirectory(prefix="bmb-") as folder:
        machine = look_at_machine(Path(folder))
    results: list[Result] = []
    failed: list[str] = []
    for at, name in enumerate(wanted):
        sys.stderr.write(f"[{time.monotonic() - begun:5.0f} s] {name}\n")
        try:
            results += _measure(name, wanted[at + 1 :], begun, options)
        except BenchError as error:
            failed.append(f"{name}: {error}")
    latest = Latest(at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), machine=machine, results=results)
    write(latest, OUT)
    print(table.render(machine, results))
    print(f"\n{OUT.relative_to(ROOT)} written after {time.monotonic() - begun:.0f} s")
    for line in failed:
        print(f"FAILED {line}")
    return 1 if failed else 0


def _measure(name: str, later: Sequence[str], begun: float, options: Options) -> list[Result]:
    def time_is_left(took_s: float) -> bool:
        return options.full or has_time(time.monotonic() - begun, took_s, later)

    return [tidy(result) for result in run_quietly(lambda: RUNS[name](options), time_is_left)]


if __name__ == "__main__":
    sys.exit(main())
