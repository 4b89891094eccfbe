"""start_up: from the command to the first good /readyz, and `bianmin --help`."""

import subprocess
import time
from collections.abc import Mapping

from tests.bench.books import fill_sqlite
from tests.bench.gateway import serving, sqlite_store
from tests.bench.installation import Installation, command, installation
from tests.bench.options import Options
from tests.bench.percentiles import percentile
from tests.bench.quiet import Window, mark
from tests.bench.results import Result
from tests.bench.servers import inline, telecom_simulator

SERVES, HELPS = 3, 7


def _compiling(house: Installation) -> Mapping[str, str]:
    """Compiled modules are kept in the installation's folder, whatever the surroundings say."""
    kept = {"PYTHONPYCACHEPREFIX": str(house.folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    return {**house.environment(), **kept}


def _serve_ms(house: Installation, settings: Mapping[str, str], environment: Mapping[str, str]) -> float:
    toml = {"bench_telecom": inline(settings)}
    with serving(house, sqlite_store(house), toml, environment=environment) as gateway:
        return gateway.ready_s * 1000


def _help_ms(environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command("--help"), check=True, capture_output=True, env=environment)
    return (time.perf_counter() - begun) * 1000


def measure(options: Options) -> list[Result]:
    """The median of a few starts each, after one of each that compiles the modules, as an installation has them."""
    with installation(["bench_telecom"]) as house, telecom_simulator(house) as settings:
        fill_sqlite(house)
        environment = _compiling(house)
        _serve_ms(house, settings, environment)
        _help_ms(environment)
        with Window() as window:
            ready = [_serve_ms(house, settings, environment) for _ in range(SERVES)]
            helps = [_help_ms(environment) for _ in range(HELPS)]
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
