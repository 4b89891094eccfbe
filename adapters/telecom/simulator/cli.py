"""The simulator as a process of its own."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from adapters.telecom.simulator.clock import read_stamp
from adapters.telecom.simulator.gate import Limits
from adapters.telecom.simulator.premises import Options
from adapters.telecom.simulator.server import start


def options_of(argv: Sequence[str]) -> tuple[Options, bool]:
    """Read the arguments: the options, and whether the port is wanted on a line of its own. Exits on wrong use."""
    parser = argparse.ArgumentParser(prog="telecom-simulator", description="The telecom platform's test platform.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--book", type=Path, help="SQLite file that survives restarts; without it a temporary one")
    parser.add_argument("--notice-url", help="where results of top-ups are told; without it nobody is told")
    parser.add_argument("--at", help="let the clock stand still at yyyyMMddHHmmss, Beijing time")
    parser.add_argument("--no-limits", action="store_true", help="no limits on calls: for load tests")
    parser.add_argument("--maintenance", action="store_true", help="refuse every call from 02:00:00 to 02:29:59")
    parser.add_argument("--print-port", action="store_true", help="also print the port on a line of its own")
    given = parser.parse_args(argv)
    fixed_at = None if given.at is None else read_stamp(given.at)
    if given.at is not None and fixed_at is None:
        parser.error("--at is yyyyMMddHHmmss")
    limits = Limits(0, 0, 0, given.maintenance) if given.no_limits else Limits(maintenance=given.maintenance)
    options = Options(port=given.port, book=given.book, notice_url=given.notice_url, fixed_at=fixed_at, limits=limits)
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
    """Run until SIGTERM or SIGINT. Prints `listening on http://127.0.0.1:PORT` once it listens."""
    options, print_port = options_of(sys.argv[1:] if argv is None else argv)
    sys.setswitchinterval(0.0005)  # the book's thread must not wait 5 ms for the lock of a busy event loop
    uvloop.run(_run(options, print_port))
