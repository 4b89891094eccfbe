"""Starting and stopping the writer process: forked before any event loop or thread exists."""

import contextlib
import fcntl
import gc
import logging
import os
import select
import signal
import socket
from pathlib import Path
from typing import Any, NoReturn

from gateway.store.port import StoreBusy, StoreError, StoreRefused, Units
from gateway.store.sqlite.address import SOCKET_NAME_MAX, socket_address, socket_path
from gateway.store.sqlite.engine import SqliteEngine
from gateway.store.sqlite.frames import Wire
from gateway.store.sqlite.writer import Writer

BATCH_MAX = 64
START_MS = 15_000
STOP_MS = 15_000
BACKLOG = 64
_READY = b"ready"
_log = logging.getLogger("bianmin.store")


def lock_path(path: Path) -> Path:
    """The file whose lock says that a writer serves this database."""
    return path.with_name(path.name + ".serve")


class WriterProcess:
    """The writer of one database file, as its parent sees it."""

    def __init__(self, path: Path, units: Units, env: Any, *, batch_max: int = BATCH_MAX) -> None:
        self.path = path.absolute()
        self._units = units
        self._env = env
        self._batch_max = batch_max
        self._control = -1
        self._life = -1
        self.pid = 0

    def start(self) -> None:
        """Fork the writer and wait until it listens.

        Call before the process has an event loop or threads. Raises StoreRefused (a second writer on the file, wrong
        version, no file), StoreFull, StoreBusy.
        """
        if len(os.fsencode(socket_path(self.path).name)) > SOCKET_NAME_MAX:
            raise StoreRefused(f"the name of the database is too long for a socket beside it: {self.path.name}")
        if not self.path.exists():  # before anything is made beside it
            raise StoreRefused(f"there is no database at {self.path}: run `bianmin db upgrade`")
        # The child holds one end of this pipe: what it says when it is ready, and its end when it ends.
        life_in, life_out = os.pipe()
        control_in, control_out = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(life_in)
            os.close(control_out)
            self._child(life_out, control_in, parent)
        os.close(life_out)
        os.close(control_in)
        self.pid, self._control, self._life = pid, control_out, life_in
        try:
            self._await_ready()
        except BaseException:  # boundary: leaves no process behind and raises on
            self.stop(timeout_ms=0)
            raise

    def alive(self) -> bool:
        """Whether the writer runs."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0] == self.pid:
            self._forget()
        return self.pid != 0

    def stop(self, timeout_ms: int = STOP_MS) -> None:
        """Let it finish what it was given and end; kill it after the time-out."""
        if not self.pid:
            return
        with contextlib.suppress(OSError):
            os.write(self._control, b"q")
        if not select.select([self._life], [], [], timeout_ms / 1000)[0]:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._forget()

    def _forget(self) -> None:
        os.close(self._control)
        os.close(self._life)
        self.pid = 0

    def _await_ready(self) -> None:
        readable, _, _ = select.select([self._life], [], [], START_MS / 1000)
        said = os.read(self._life, 4096) if readable else b""
        if said == _READY:
            return
        if not readable:
            raise StoreBusy(f"the writer did not start within {START_MS // 1000} s")
        raise StoreRefused(said.decode(errors="replace") or "the writer ended before it was ready; see the log")

    def _child(self, life: int, control: int, parent: int) -> NoReturn:
        code = 1
        try:
            # The parent decides when to end: a Ctrl-C or a SIGTERM to the whole group must not cut off the drain.
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            # Nothing inherited may be collected here: a dead object's file descriptor may be a live one of ours.
            gc.freeze()
            self._serve(life, control, parent)
            code = 0
        except StoreError as error:
            os.write(life, str(error).encode()[:4096])
        except Exception:  # boundary: the child must never return into its parent's stack
            _log.exception("writer.died")
        finally:
            os._exit(code)

    def _serve(self, life: int, control: int, parent: int) -> None:
        lock = take_lock(self.path)
        engine = SqliteEngine(self.path, self._units, self._env)
        engine.open()
        listener = _listen(socket_path(self.path))
        writer = Writer(
            engine,
            Wire(self._units),
            listener,
            control=control,
            parent=parent,
            batch_max=self._batch_max,
        )
        os.write(life, _READY)
        try:
            writer.serve()
        finally:
            engine.close()
            socket_path(self.path).unlink(missing_ok=True)
            os.close(lock)


def take_lock(path: Path) -> int:
    """The lock of the one writer process, as an open descriptor. StoreRefused where another process holds it."""
    if not path.parent.is_dir():
        raise StoreRefused(f"there is no folder {path.parent}: run `bianmin init`")
    descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise StoreRefused(f"{path} is served already, by process {holder}: stop it first") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _listen(path: Path) -> socket.socket:
    # The lock is ours, so a socket that is still there belongs to a writer that died.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with socket_address(path) as address:
            listener.bind(address)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener
