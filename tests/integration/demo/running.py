"""`bianmin demo` as a process of its own, and every process that belongs to it."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BIANMIN = (sys.executable, "-P", "-c", "from gateway.cli import main; main()")
MARK = "BIANMIN_TEST_MARK"


class Demo:
    """One run. Everything it starts inherits `mark` in its environment, by which it is found."""

    def __init__(self, folder: Path, elsewhere: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.folder, self.output = folder, elsewhere.with_suffix(".out")
        self.mark = secrets.token_hex(16)
        elsewhere.mkdir()
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [*BIANMIN, "demo", "--dir", str(folder), *arguments],
                cwd=elsewhere,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {}), MARK: self.mark},
            )

    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float) -> None:
        """Until it has printed this."""
        ends = time.monotonic() + seconds
        while text not in self.text():
            assert self.process.poll() is None, f"it ended before it said {text!r}:\n{self.text()}"
            assert time.monotonic() < ends, f"it did not say {text!r} within {seconds} s:\n{self.text()}"
            time.sleep(0.1)

    def family(self) -> dict[int, str]:
        """Living processes with its mark: the demo itself and all it has started."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
        return found

    def wait_gone(self, seconds: float) -> None:
        """Until nobody of the family is left."""
        ends = time.monotonic() + seconds
        while family := self.family():
            assert time.monotonic() < ends, f"left running: {family}\n{self.text()}"
            time.sleep(0.1)


@contextlib.contextmanager
def demo(folder: Path, elsewhere: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Demo]:
    """A run that leaves nothing behind, even where the test fails."""
    one = Demo(folder, elsewhere, *arguments, env=env)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(30)
        for pid in one.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
