"""start_up: from the command to the first good /readyz, and `bianmin --help`."""

import subprocess
import time

from tests.bench.books import fill_sqlite
from tests.bench.gateway import serving, sqlite_store
from tests.bench.installation import command, installation
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import Result
from tests.bench.servers import inline, telecom_simulator

SERVES, HELPS = 3, 7


def measure(options: Options) -> list[Result]:
    """The median of a few starts each; files are in the page cache after the first."""
    with installation(["bench_telecom"]) as house, telecom_simulator(house) as settings:
        fill_sqlite(house)
        ready, helps = [], []
        with Window() as window:
            for _ in range(SERVES):
                with serving(house, sqlite_store(house), {"bench_telecom": inline(settings)}) as gateway:
                    ready.append(gateway.ready_s * 1000)
            for _ in range(HELPS):
                begun = time.perf_counter()
                subprocess.run(command("--help"), check=True, capture_output=True)
                helps.append((time.perf_counter() - begun) * 1000)
    result = Result(
        name="start_up",
        settings={
            "ready_ms": percentile(ready, 50),
            "help_ms": percentile(helps, 50),
            "starts": SERVES,
            "helps": HELPS,
        },
        p50_ms=percentile(ready, 50),
    )
    return [mark(result, window.spent)]
