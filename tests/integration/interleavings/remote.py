"""A test's hold on a gateway in a process of its own: ask it, stop it, continue it, kill it."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store.port import StoreBusy
from tests.integration.interleavings import frames

LIMIT_S = 30
ROOT = Path(__file__).resolve().parents[3]


@dataclass(slots=True)
class Process:
    """A child that has loaded everything, and our end of its socket."""

    child: "subprocess.Popen[bytes]"
    socket: socket.socket

    def end(self) -> None:
        """kill -9, also of one that is stopped."""
        self.child.kill()
        self.child.wait()
        self.socket.close()


class Processes:
    """Children that one test has done with are taken by the next: to start one takes as long as a whole test."""

    def __init__(self) -> None:
        self._idle: list[Process] = []

    def take(self) -> Process:
        """One that nobody uses."""
        if self._idle:
            return self._idle.pop()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.integration.interleavings.child", str(theirs.fileno())]
            child = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
        return Process(child, ours)

    def give(self, process: Process) -> None:
        """It has closed its gateway and waits for the next plan."""
        self._idle.append(process)

    def close(self) -> None:
        """End them all."""
        while self._idle:
            self._idle.pop().end()


class Remote:
    """A gateway elsewhere. run() and look() are its store's; what it does is decided there, by its own pool."""

    def __init__(self, processes: Processes, plan: frames.Plan) -> None:
        self._processes, self._plan = processes, plan
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: Process | None = None
        self._listening: asyncio.Task[None]
        self._writer: asyncio.StreamWriter

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise RuntimeError("it is not open")
        return self._process.child.pid

    async def open(self) -> None:
        """Start it and wait until its store is open. Raises its StoreError."""
        self._process = self._processes.take()
        reader, self._writer = await asyncio.open_connection(sock=self._process.socket.dup())
        self._listening = asyncio.create_task(self._listen(reader))
        await self._send(frames.OPENED, self._plan)

    async def run(self, item: Any) -> Any:
        """Store.run over there."""
        return await self._ask("run", item)

    async def look(self, item: Any) -> Any:
        """Store.look over there."""
        return await self._ask("look", item)

    async def resolve(self) -> None:
        """One round of the resolver over there; only of a worker."""
        await self._ask("resolve", None)

    def stop(self) -> None:
        """SIGSTOP: the process is there and does nothing, as on a machine that sleeps."""
        os.kill(self.pid, signal.SIGSTOP)

    async def stopped(self) -> None:
        """Wait until it is."""
        async with asyncio.timeout(LIMIT_S):
            while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                await asyncio.sleep(0.005)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """kill -9; whoever waits for it is told that nothing is known."""
        process, self._process = self._process, None
        if process is not None:
            process.end()
            await self._listening
            self._writer.close()

    async def close(self) -> None:
        """Let it finish what it was asked; the process is free for another test."""
        process = self._process
        if process is None:
            return
        self.go_on()
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._send(frames.CLOSED, frames.Ask(0, "close"))
        except BaseException:  # boundary: one that does not answer is not left behind
            await self.kill()
            raise
        self._process = None
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.close()
        self._processes.give(process)

    async def _ask(self, verb: str, item: Any) -> Any:
        number = next(self._numbers)
        return await self._send(number, frames.Ask(number, verb, item))

    async def _send(self, number: int, frame: Any) -> Any:
        if self._listening.done():
            raise _gone()
        reply = self._waiting[number] = asyncio.get_running_loop().create_future()
        frames.write(self._writer, frame)
        return await reply

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                told: frames.Told = await frames.read(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            waiting = self._waiting.pop(told.number)
            if waiting.done():
                continue
            if isinstance(told.reply, BaseException):
                waiting.set_exception(told.reply)
            else:
                waiting.set_result(told.reply)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_gone())
        self._waiting.clear()


def _gone() -> StoreBusy:
    return StoreBusy("the gateway's process has gone", in_doubt=True)
