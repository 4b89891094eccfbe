"""Small servers of the bench as processes that print their port first."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from adapters.telecom.simulator.agents import AGENTS, FILE_AGENT
from tests.bench.installation import ROOT, Installation
from tests.bench.plain_server import Stats


@contextmanager
def printing_its_port(module: str, *arguments: str) -> Iterator[int]:
    """Start `python -m module`, read the port from its first line, end it with the block."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate()


@dataclass(frozen=True, slots=True)
class PlainBiller:
    """A plain_server that runs."""

    port: int

    @property
    def toml(self) -> str:
        """Its inline table."""
        return f'base_url = "http://127.0.0.1:{self.port}"'

    def stats(self) -> Stats:
        """Its counts now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=5) as reply:
            return msgspec.json.decode(reply.read(), type=Stats)

    def release(self) -> None:
        """Let it answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/release", data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=5):
            pass


@contextmanager
def plain_biller(*, delay_ms: int, shut: bool = False, dead: bool = False) -> Iterator[PlainBiller]:
    """A biller of the bench."""
    flags = [name for name, wanted in (("--shut", shut), ("--dead", dead)) if wanted]
    with printing_its_port("tests.bench.plain_server", "--delay-ms", str(delay_ms), *flags) as port:
        yield PlainBiller(port)


@contextmanager
def telecom_simulator(house: Installation, *arguments: str) -> Iterator[Mapping[str, str]]:
    """The telecom simulator without limits; the configuration values of its agent."""
    secret = house.folder / "telecom.secret"
    secret.write_text(AGENTS[FILE_AGENT].keys["01"] + "\n")
    with printing_its_port("adapters.telecom.simulator", "--no-limits", *arguments) as port:
        yield {
            "base_url": f"http://127.0.0.1:{port}",
            "agent_no": FILE_AGENT,
            "key_no": "01",
            "sign_key_file": str(secret),
        }


def inline(values: Mapping[str, str]) -> str:
    """An inline table of texts."""
    return ", ".join(f'{key} = "{value}"' for key, value in values.items())
