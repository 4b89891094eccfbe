"""Child processes: output in a file, a group of their own, and an end in every case."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.clock import Clock
from gateway.demo import tether
from gateway.demo.faults import DemoFault

LOOK_S = 0.03
STOP_S = 20.0
_TAIL_LINES = 8
_PORTS = range(20_000, 32_000)
"""Below the range from which the system takes ports for outgoing connections."""
BIANMIN = (sys.executable, "-P", "-c", "from gateway.cli import main; main()")
"""The command `bianmin`, of this very installation."""


class Child:
    """One child. It gets `death` when the demo dies, and is ended by stop() or kill() otherwise."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        clock: Clock,
        *,
        death: signal.Signals = signal.SIGTERM,
        user: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Path | None = None,
    ) -> None:
        self.name, self.log, self._clock, self._death = name, log, clock, death
        self._begun_at = log.stat().st_size if log.exists() else 0
        who = f"{user[0]}:{user[1]}" if user else "-"
        tethered = [sys.executable, "-I", tether.__file__, str(os.getpid()), str(int(death)), who, *command]
        with log.open("ab") as out, open(stdin or os.devnull, "rb") as given:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, as a list
                tethered,
                stdin=given,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=None if env is None else {**os.environ, **env},
            )

    @property
    def pid(self) -> int:
        """Process id, also its group's."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Everything it has written so far."""
        return self.log.read_bytes()[self._begun_at :].decode("utf-8", "replace")

    async def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line. Raises DemoFault naming the log, with its end, where it does not come."""
        ends = self._clock.monotonic() + seconds
        while True:
            code = self.ended()
            found = re.search(pattern, self.said(), re.MULTILINE)
            if found is not None:
                return found
            if code is not None:
                raise DemoFault(f"{self.name} ended with exit code {code}:\n{self._tail()}\n", self.log)
            if self._clock.monotonic() >= ends:
                raise DemoFault(f"{self.name} was not ready within {seconds:g} s:\n{self._tail()}\n", self.log)
            await self._clock.sleep(LOOK_S)

    async def done(self, seconds: float, codes: Sequence[int] = (0,)) -> str:
        """Wait for its end and give what it said. Raises DemoFault for another exit code, or where it does not end."""
        ends = self._clock.monotonic() + seconds
        while (code := self.ended()) is None:
            if self._clock.monotonic() >= ends:
                self.kill()
                raise DemoFault(f"{self.name} did not end within {seconds:g} s", self.log)
            await self._clock.sleep(LOOK_S)
        if code not in codes:
            raise DemoFault(f"{self.name} ended with exit code {code}:\n{self._tail()}\n", self.log)
        return self.said()

    def ask(self) -> None:
        """Ask it to end, and do not wait."""
        if self._process.poll() is None:
            self._process.send_signal(self._death)

    def stop(self) -> None:
        """End it in order, by force after a while. Blocks; harmless when it has ended."""
        self.ask()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._end_group()

    def kill(self) -> None:
        """kill -9 for it and whatever it has forked: no byte more is written by any of them."""
        self._end_group()
        self._process.wait(STOP_S)

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self) -> str:
        return "\n".join(f"    {line[:300]}" for line in self.said().splitlines()[-_TAIL_LINES:])


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now, outside the range of outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
