"""`bianmin serve` as a process of the bench."""

import select
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.installation import Installation, command, write_config
from tests.bench.processes import end_family, family, memory_mib, processes
from tests.bench.results import BenchError
from tests.stand.ports import free_port

START_LIMIT_S = 60
STOP_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that is ready. ready_s: from its start to its first good /readyz."""

    process: "subprocess.Popen[str]"
    port: int
    partner_port: int
    ready_s: float

    def memory_mib(self) -> tuple[float, float]:
        """(resident, proportional) of all its processes."""
        return memory_mib(family(self.process.pid, processes()))

    def process_count(self) -> int:
        """Its processes."""
        return len(family(self.process.pid, processes()))


class NotReadyError(BenchError):
    """It did not start in time, or died."""


@contextmanager
def serving(
    house: Installation,
    store: str,
    billers_toml: Mapping[str, str],
    *,
    name: str = "gw",
    bus: str = 'driver = "embedded"',
    roles: str = "all",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """A gateway on a filled book, ended with the block. store, bus: inline tables of the configuration.

    environment: instead of the installation's own.
    """
    ports = [free_port() for _ in range(3)]
    config = write_config(house, f"{name}.toml", ports=ports, store=store, billers_toml=billers_toml, bus=bus)
    log = (house.folder / f"{name}.log").open("w+")
    begun = time.perf_counter()
    process = subprocess.Popen(
        command("serve", "--role", roles, "--config", str(config)),
        env=environment or house.environment(),
        cwd=house.folder,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        _await_ready(process, ports[1], log.name)
        yield Gateway(process, ports[0], ports[2], time.perf_counter() - begun)
    finally:
        end_family(process.pid, STOP_PATIENCE_S)
        process.communicate()
        log.close()


def sqlite_store(house: Installation, http_processes: int = 1) -> str:
    """The inline table of a SQLite book."""
    return f'engine = "sqlite", path = "{house.database.name}", http_processes = {http_processes}'


def _is_ready(admin_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz", timeout=1) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _await_ready(process: "subprocess.Popen[str]", admin_port: int, log: str) -> None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_LIMIT_S)
    line = process.stdout.readline() if readable else ""
    if not line.startswith("serving on"):
        raise NotReadyError(f"serve said {line!r}: {Path(log).read_text()[-2000:]}")
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if _is_ready(admin_port):
            return
        time.sleep(0.005)
    raise NotReadyError(Path(log).read_text()[-2000:])
