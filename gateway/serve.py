"""`bianmin serve`: processes and signals around one App.

SQLite: this process forks the writer, then further fronts (store.http_processes), then runs a front and the flow.
PostgreSQL: one process with the roles it is given; run as many as you like. Those with the role api, and not `all`,
may share their ports with others on the same machine.
"""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gateway.ops.shared import Shared, config_option, pass_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.biller import Adapter
    from contracts.clock import Clock
    from gateway.app import Ports
    from gateway.config import Config
    from gateway.core.env import Env
    from gateway.roles import Role
    from gateway.store.port import Store

_PORT = click.IntRange(0, 65_535)


@click.command()
@config_option
@click.option(
    "--role",
    "role_text",
    default="all",
    show_default=True,
    help="all, or a comma-separated list of api, relay, worker, resolver, sealer (PostgreSQL and Kafka).",
)
@click.option("--port", type=_PORT, help="Instead of the one in http.listen; 0: any free one.")
@click.option("--partner-port", type=_PORT, help="Instead of http.partner_port; 0: any free one.")
@click.option("--admin-port", type=_PORT, help="Instead of http.admin_port; 0: any free one.")
@pass_shared
def command(
    shared: Shared,
    config_file: Path,
    *,
    role_text: str,
    port: int | None,
    partner_port: int | None,
    admin_port: int | None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C, then drain: running calls end and are saved."""
    from gateway.config import build_env, check_roles, with_ports
    from gateway.flow.crash_points import VARIABLE, CrashPoints
    from gateway.roles import roles_of

    config = with_ports(shared.load(config_file), port=port, partner_port=partner_port, admin_port=admin_port)
    words = role_text.split(",")
    check_roles(config, words)
    CrashPoints(os.environ.get(VARIABLE))  # refused here, before any process is started
    env = build_env(config, shared.adapters)
    sys.exit(Serving(config, shared.adapters, env, shared.clock, roles=roles_of(words)).run())


class Serving:
    """The processes of one `serve`; run() returns the exit code."""

    def __init__(
        self,
        config: "Config",
        adapters: "Mapping[str, Adapter]",
        env: "Env",
        clock: "Clock",
        *,
        roles: "frozenset[Role] | None" = None,
    ) -> None:
        """roles: None means all."""
        from gateway.roles import EVERY

        self._config, self._adapters, self._env, self._clock = config, adapters, env, clock
        self._roles = roles or EVERY
        self._healthy: Callable[[], bool] = lambda: True

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until a process we need is gone."""
        from gateway.app import load_signing
        from gateway.config import SqliteStore
        from gateway.flow.closed_board import ClosedBoard
        from gateway.log import configure, take_over
        from gateway.ops.desk import house_units
        from gateway.roles import EVERY

        configure(self._config.log.level)  # before the fork: the writer's lines obey the same rules
        take_over()
        self._signing = load_signing(self._config)
        self._board = ClosedBoard(list(self._config.billers), self._clock)
        settings = self._config.store
        if not isinstance(settings, SqliteStore):
            return self._front(flow=True, reuse_port=self._roles != EVERY)
        from gateway.store.sqlite.process import WriterProcess

        writer = WriterProcess(settings.path, house_units(), self._env, batch_max=settings.batch_max)
        writer.start()
        fronts = [self._fork_front() for _ in range(settings.http_processes - 1)]
        self._healthy = lambda: writer.alive() and all(_alive(pid) for pid in fronts)
        try:
            return self._front(flow=True, reuse_port=bool(fronts))
        finally:
            for pid in fronts:
                _end(pid)
            writer.stop()

    def _fork_front(self) -> int:
        """One more process that verifies, signs and asks the same book; it ends with this one."""
        pid = os.fork()
        if not pid:
            self._child()
        return pid

    def _child(self) -> NoReturn:
        code = 1
        try:
            code = self._front(flow=False, reuse_port=True)
        finally:
            os._exit(code)

    def _store(self) -> "Store":
        from gateway.config import SqliteStore
        from gateway.ops.desk import house_units

        settings = self._config.store
        if isinstance(settings, SqliteStore):
            from gateway.store.sqlite.store import SqliteStore as Store

            return Store(settings.path, house_units(), self._env, queue_max=settings.queue_max)
        from gateway.store.postgres.store import PostgresStore

        return PostgresStore(settings.connection(), house_units(), self._env)

    def _front(self, *, flow: bool, reuse_port: bool) -> int:
        import uvloop

        return uvloop.run(self._serve(flow=flow, reuse_port=reuse_port))

    async def _serve(self, *, flow: bool, reuse_port: bool) -> int:
        from gateway.app import App
        from gateway.flow.crash_points import VARIABLE
        from gateway.roles import process_name

        app = App(
            self._config,
            self._adapters,
            self._env,
            self._store(),
            self._clock,
            signing=self._signing,
            worker=process_name(),
            board=self._board,
            flow=flow,
            roles=self._roles,
            crash_at=os.environ.get(VARIABLE) if flow else None,
        )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if not flow:
            parent = os.getppid()
            self._healthy = lambda: os.getppid() == parent
        ports = await app.open(reuse_port=reuse_port)
        gc.collect()
        gc.freeze()  # what the start made stays: the collector need not look at it again
        if flow:
            click.echo(f"serving on {_told(self._config.http.host, ports)}")
            sys.stdout.flush()
        while not stop.is_set():
            try:
                async with asyncio.timeout(1):
                    await stop.wait()
            except TimeoutError:
                if not self._healthy() or not app.sound():
                    # The writer, a front's parent, the book as it was, or work that nobody else here does, is gone:
                    # let a supervisor restart us.
                    break
        await app.close()
        return 0 if stop.is_set() else 1


def _told(host: str, ports: "Ports") -> str:
    """`HOST:PORT partner PORT admin PORT`, without what this process does not listen on."""
    parts = (("", f"{host}:{ports.public}", ports.public), ("partner ", ports.partner, ports.partner))
    told = [f"{name}{place}" for name, place, port in parts if port is not None]
    return " ".join([*told, f"admin {ports.admin}"])


def _alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return
