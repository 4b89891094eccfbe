"""The simulator as a process of its own."""

import argparse
import asyncio
import re
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from adapters.telecom.simulator.clock import read_stamp
from adapters.telecom.simulator.gate import Limits
from adapters.telecom.simulator.premises import Options
from adapters.telecom.simulator.server import start

PORTS = 65_536
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/\S*")


def options_of(argv: Sequence[str]) -> tuple[Options, bool]:
    """Read the arguments: the options, and whether the port is wanted on a line of its own. Exits on wrong use."""
    parser = argparse.ArgumentParser(prog="telecom-simulator", description="The telecom platform's test platform.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; control answers to loopback alone")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--book", type=Path, help="SQLite file that survives restarts; without it a temporary one")
    parser.add_argument("--notice-url", help="where results of top-ups are told; without it nobody is told")
    parser.add_argument("--at", help="let the clock stand still at yyyyMMddHHmmss, Beijing time")
    parser.add_argument("--no-limits", action="store_true", help="no limits on calls: for load tests")
    parser.add_argument("--maintenance", action="store_true", help="refuse every call from 02:00:00 to 02:29:59")
    parser.add_argument("--print-port", action="store_true", help="also print the port on a line of its own")
    given = parser.parse_args(argv)
    if not 0 <= given.port < PORTS:
        parser.error("--port is 0 to 65535")
    if given.notice_url is not None and not _URL.fullmatch(given.notice_url):
        parser.error("--notice-url is http://host[:port]/path, or https")
    fixed_at = None if given.at is None else read_stamp(given.at)
    if given.at is not None and fixed_at is None:
        parser.error("--at is yyyyMMddHHmmss")
    limits = Limits(0, 0, 0, given.maintenance) if given.no_limits else Limits(maintenance=given.maintenance)
    options = Options(
        host=given.host,
        port=given.port,
        book=given.book,
        notice_url=given.notice_url,
        fixed_at=fixed_at,
        limits=limits,
    )
    return options, given.print_port


async def _run(options: Options, print_port: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    running = await start(options)
    try:
        sys.stdout.write(f"listening on {running.url}\n" + (f"{running.port}\n" if print_port else ""))
        sys.stdout.flush()
        await stop.wait()
    finally:
        await running.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT. Prints `listening on http://HOST:PORT` once it listens."""
    options, print_port = options_of(sys.argv[1:] if argv is None else argv)
    sys.setswitchinterval(0.0005)  # the book's thread must not wait 5 ms for the lock of a busy event loop
    try:
        uvloop.run(_run(options, print_port))
    except OSError as wrong:
        sys.exit(_refused(f"cannot listen on {options.host}:{options.port}: {wrong.strerror or wrong}"))
    except sqlite3.Error as wrong:
        sys.exit(_refused(f"--book {options.book} cannot be used as a book: {wrong}"))


def _refused(why: str) -> int:
    sys.stderr.write(f"telecom-simulator: {why}\n")
    return 2
