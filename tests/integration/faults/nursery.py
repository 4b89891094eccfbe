"""Forks the processes of a cluster from one warm process, in milliseconds instead of a second each.

A process of its own with one thread, because whoever tests has several and cannot fork. `python -m … nursery` reads
one JSON order a line and answers one; what it forked ends with it. A member whose clock is to differ is executed anew
under libfaketime instead.
"""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
PR_SET_PDEATHSIG = 1
WARM = (
    "asyncpg", "uvloop", "gateway.app", "gateway.bus.kafka.bus", "gateway.ops.desk", "gateway.serve",
    "gateway.store.postgres.store", "tests.stand.gateway",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """One process of `bianmin serve`. clock_s: how far its wall clock is off. crash_at: see crash_points.VARIABLE."""

    role: str
    config: str
    admin: int
    log: str
    crash_at: str = ""
    clock_s: int = 0


def faketime() -> Path | None:
    """The library that gives a process another clock, where it is installed (`apt-get install libfaketime`)."""
    found = [Path(folder) / "libfaketime.so.1" for folder in LIBRARIES]
    return next((file for file in found if file.exists()), None)


class Nursery:
    """The side of the tests. Use as a context manager."""

    def __enter__(self) -> Self:
        root = Path(__file__).parents[3]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.faults.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def start(self, birth: Birth) -> int:
        """Its process id."""
        return int(self._order({"start": asdict(birth)}))

    def ended(self) -> dict[int, int]:
        """Those that have ended since the last question, with their wait status."""
        return {int(pid): status for pid, status in self._order({"ended": True}).items()}

    def _order(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def serve(birth: Birth) -> int:
    """Be this process; its exit code."""
    from gateway.clock import SystemClock
    from gateway.config import build_env, load_config, with_ports
    from gateway.flow.crash_points import VARIABLE
    from gateway.roles import roles_of
    from gateway.serve import Serving
    from tests.stand.gateway import hasty_adapter

    if birth.crash_at:
        os.environ[VARIABLE] = birth.crash_at
    adapters = {"telecom": hasty_adapter()}
    config = with_ports(load_config(Path(birth.config), adapters), admin_port=birth.admin)
    roles = roles_of([birth.role])
    return Serving(config, adapters, build_env(config, adapters), SystemClock(), roles=roles).run()


def _become(birth: Birth) -> NoReturn:
    code = 3
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        log = os.open(birth.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        if birth.clock_s and not os.environ.get("FAKETIME"):
            _execute_elsewhen(birth)
        code = serve(birth)
    except BaseException as error:  # boundary: told in the log, whatever it was; the copy of the nursery must end
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _execute_elsewhen(birth: Birth) -> NoReturn:
    # Only the wall clock differs: no machine's monotonic clock jumps.
    changed = {
        "LD_PRELOAD": str(faketime()), "FAKETIME": f"{birth.clock_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.integration.faults.nursery", json.dumps(asdict(birth))]
    os.execve(command[0], command, {**os.environ, **changed})


def _ended() -> dict[str, int]:
    found: dict[str, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found[str(pid)] = status


def _warm_up() -> None:
    """Everything a member imports when it first needs it."""
    for name in WARM:
        importlib.import_module(name)


def main() -> None:
    """Obey until stdin ends."""
    if len(sys.argv) > 1:
        sys.exit(serve(Birth(**json.loads(sys.argv[1]))))
    _warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            pid = os.fork()
            if not pid:
                _become(Birth(**order["start"]))
            answer: Any = pid
        else:
            answer = _ended()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
