"""A simulator as a process of its own: the arguments all of them take, and the run until a signal."""

import argparse
import asyncio
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import uvloop

from adapters.kit.clock import read_stamp

PORTS = 65_536


class Place(Protocol):
    """Where a simulator runs; its options hold it."""

    @property
    def host(self) -> str:
        """Where it listens."""
        ...

    @property
    def port(self) -> int:
        """0: any free one."""
        ...

    @property
    def book(self) -> Path | None:
        """Its file."""
        ...


class Listening(Protocol):
    """A running simulator."""

    port: int

    @property
    def url(self) -> str:
        """Its base address."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


def parser_for(name: str, description: str) -> argparse.ArgumentParser:
    """A parser that knows what every simulator takes."""
    parser = argparse.ArgumentParser(prog=f"{name}-simulator", description=description)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; control answers to loopback alone")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--book", type=Path, help="SQLite file that survives restarts; without it a temporary one")
    parser.add_argument("--at", help="let the clock stand still at yyyyMMddHHmmss, Beijing time")
    parser.add_argument("--no-limits", action="store_true", help="no limits on calls: for load tests")
    parser.add_argument("--print-port", action="store_true", help="also print the port on a line of its own")
    return parser


def fixed_at(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int | None:
    """Check the port and read `--at` as epoch seconds. Exits on wrong use."""
    if not 0 <= given.port < PORTS:
        parser.error("--port is 0 to 65535")
    at = None if given.at is None else read_stamp(given.at)
    if given.at is not None and at is None:
        parser.error("--at is yyyyMMddHHmmss")
    return at


async def _run(start: Callable[[], Awaitable[Listening]], print_port: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = await start()
    try:
        sys.stdout.write(f"listening on {running.url}\n" + (f"{running.port}\n" if print_port else ""))
        sys.stdout.flush()
        await stop.wait()
    finally:
        await running.close()


def run(
    parser: argparse.ArgumentParser, place: Place, start: Callable[[], Awaitable[Listening]], *, print_port: bool
) -> None:
    """Run until SIGTERM or SIGINT. Prints `listening on http://HOST:PORT` once it listens."""
    sys.setswitchinterval(0.0005)  # the book's thread must not wait 5 ms for the lock of a busy event loop
    try:
        uvloop.run(_run(start, print_port))
    except OSError as wrong:
        sys.exit(_refused(parser, f"cannot listen on {place.host}:{place.port}: {wrong.strerror or wrong}"))
    except sqlite3.Error as wrong:
        sys.exit(_refused(parser, f"--book {place.book} cannot be used as a book: {wrong}"))


def _refused(parser: argparse.ArgumentParser, why: str) -> int:
    sys.stderr.write(f"{parser.prog}: {why}\n")
    return 2
