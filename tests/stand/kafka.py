"""A real Apache Kafka: the broker named by BIANMIN_TEST_KAFKA (host:port on loopback), else one of our own.

Our own is one KRaft node on the machine's Java, its data in a temporary folder. Without Java or Maven the tests that
need a broker are skipped by name, saying why.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.demo import tether
from gateway.demo.kafka import Broker, answers
from gateway.demo.kafka_jars import find_jars
from tests.stand.ports import free_port

VARIABLE = "BIANMIN_TEST_KAFKA"
START_LIMIT_S = 90
STOP_LIMIT_S = 30


class KafkaBroker:
    """One broker of its own; nothing starts before start(). Blocking: for fixtures and threads, not for a loop.

    settings, secure, scram: as gateway.demo.kafka.Broker takes them.
    """

    def __init__(
        self, *, settings: Mapping[str, str] | None = None, secure: bool = False, scram: Mapping[str, str] | None = None
    ) -> None:
        self._jars = find_jars()
        self.folder = Path(tempfile.mkdtemp(prefix="bianmin-kafka-"))
        self.broker = Broker(
            folder=self.folder,
            port=free_port(),
            controller=free_port(),
            secure=free_port() if secure else 0,
            settings=settings or {},
            scram=scram or {},
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """host:port of the plain listener."""
        return self.broker.bootstrap

    def log(self) -> str:
        """Everything it has said."""
        return (self.folder / "log").read_text(errors="replace")

    def configure(self, settings: Mapping[str, str]) -> None:
        """More lines of its configuration, for the next start."""
        self.broker = replace(self.broker, settings={**self.broker.settings, **settings})

    def start(self) -> None:
        """Format where there is nothing yet, serve, and wait until a topic can be created."""
        self._launch()
        asyncio.run(self._ready())

    async def start_in_loop(self) -> None:
        """The same within a running loop, whose connections go on meanwhile."""
        # In this very thread: the kernel ends the broker when the thread that began it ends.
        self._launch()
        await self._ready()

    def _launch(self) -> None:
        self.broker.write()
        if not (self.folder / "data").exists():
            command = self.broker.format_command(self._jars)
            done = subprocess.run(command, capture_output=True, text=True, timeout=START_LIMIT_S, check=False)
            if done.returncode:
                raise RuntimeError(f"Apache Kafka cannot format its storage: {done.stdout}{done.stderr}")
        command = self.broker.server_command(self._jars)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", tether.__file__, str(os.getpid()), str(int(signal.SIGKILL)), "-", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def _ready(self) -> None:
        ends = time.monotonic() + START_LIMIT_S
        while not await answers(self.bootstrap):
            if not self.alive() or time.monotonic() > ends:
                text = self.log()[-2000:]
                self.stop()
                raise RuntimeError(f"Apache Kafka does not start: {text}")
            await asyncio.sleep(0.1)

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9; start() then recovers on the same data and ports."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_LIMIT_S)
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it and delete its folder. Safe to call twice."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.kill()  # its data is deleted: an orderly end would only take longer
        shutil.rmtree(self.folder, ignore_errors=True)


def fresh_prefix() -> str:
    """A topic prefix that no other test has."""
    return f"t{secrets.token_hex(5)}"
