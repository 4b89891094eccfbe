"""Checkpoints: on a connection and a thread of their own, never inside a commit; they keep the log small."""

import logging
import sqlite3
import threading
from pathlib import Path

from gateway.store.sqlite.connection import open_writer

PASSIVE_BYTES = 8 * 1024 * 1024
RESTART_BYTES = 32 * 1024 * 1024
BUSY_MS = 100
_log = logging.getLogger("bianmin.store")


class Checkpointer:
    """Copies the log into the database file when told that a commit was made and the log has grown.

    Beyond passive_bytes it copies without disturbing anyone; but under steady load the log then never starts anew,
    so beyond restart_bytes it makes it: the writer waits, between two commits, for the few pages that are left, and
    at most BUSY_MS longer where a reader holds on to old pages (the log grows on until that reader has gone).
    """

    def __init__(self, path: Path, *, passive_bytes: int = PASSIVE_BYTES, restart_bytes: int = RESTART_BYTES) -> None:
        self._path = path
        self._log_file = path.with_name(path.name + "-wal")
        self._passive_bytes = passive_bytes
        self._restart_bytes = restart_bytes
        self._wanted = threading.Event()
        self._ended = False
        # Without it the writer would take the file's lock again before anyone who polls for it.
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="checkpoint", daemon=True)
        self._done_bytes = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread once a checkpoint that runs is done."""
        self._ended = True
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join()

    def committed(self) -> None:
        """Tell that a commit was made, before the next begins; waits for a restart of the log that is under way."""
        with self._gate:
            pass
        if self.log_bytes() - self._done_bytes >= self._passive_bytes:
            self._wanted.set()

    def log_bytes(self) -> int:
        """Size of the log file."""
        try:
            return self._log_file.stat().st_size
        except FileNotFoundError:
            return 0

    def _serve(self) -> None:
        connection = open_writer(self._path, BUSY_MS)
        try:
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._ended:
                    return
                self._run(connection)
        finally:
            connection.close()

    def _run(self, connection: sqlite3.Connection) -> None:
        try:
            size = self.log_bytes()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._done_bytes = size
            if size >= self._restart_bytes:
                # TRUNCATE is RESTART that also gives the file's blocks back.
                with self._gate:
                    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._done_bytes = size if busy else 0
        except sqlite3.Error as error:
            # The log only grows; the next commit asks again, and a full disk shows itself to the writer.
            _log.warning("checkpoint.failed", extra={"cause": str(error)})
