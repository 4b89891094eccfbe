"""Opening the file, and what its errors mean."""

import sqlite3
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from gateway.store.port import StoreBusy, StoreError, StoreFull, StoreRefused, UnitFailed

BUSY_TIMEOUT_MS = 5_000
STATEMENTS_KEPT = 512
CACHE_KIB = 65_536


class Fault(StrEnum):
    """What an error says about the work. RACE: an index or a guard refused a row. BUG: our own."""

    RACE = "race"
    BUSY = "busy"
    FULL = "full"
    BROKEN = "broken"
    BUG = "bug"


# Result codes (https://sqlite.org/rescode.html). Of the constraints only a taken key is a race: a check, a trigger,
# a missing parent or a wrong type will refuse the same row for ever.
_RACES = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
# Primary codes; extended ones carry them in their low byte.
_FAULTS: dict[int, Fault] = {
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
    sqlite3.SQLITE_PROTOCOL: Fault.BUSY,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_READONLY: Fault.FULL,
    sqlite3.SQLITE_CANTOPEN: Fault.FULL,
    sqlite3.SQLITE_IOERR: Fault.BROKEN,
    sqlite3.SQLITE_CORRUPT: Fault.BROKEN,
    sqlite3.SQLITE_NOTADB: Fault.BROKEN,
}


def classify(error: BaseException) -> Fault:
    """What kind of fault an exception is."""
    if not isinstance(error, sqlite3.Error):
        return Fault.BUG
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault.BUG
    return Fault.RACE if code in _RACES else _FAULTS.get(code & 0xFF, Fault.BUG)


def as_store_error(error: BaseException, *, in_doubt: bool = False) -> StoreError:
    """The error callers see for an exception that ended a transaction."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    match classify(error):
        case Fault.FULL | Fault.BROKEN:
            return StoreFull(f"the database cannot be written: {error} ({name})", in_doubt=in_doubt)
        case Fault.BUSY:
            return StoreBusy(f"the database is locked: {error} ({name})")
        case _:
            return UnitFailed(f"{name}: {error}")


def open_writer(path: Path, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """A connection that writes: durable at each commit, foreign keys on, never a checkpoint of its own.

    The file must exist with its tables. Raises StoreRefused for a file that is not there, sqlite3's errors otherwise.
    """
    connection = _connect(path, "rw", busy_timeout_ms)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Without this an INSERT OR REPLACE by hand would delete past the append-only triggers.
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def open_reader(path: Path, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _connect(path, "ro", busy_timeout_ms)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path, mode: str, busy_timeout_ms: int) -> sqlite3.Connection:
    if not path.exists():
        raise StoreRefused(f"there is no database at {path}: run `bianmin db upgrade`")
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_KEPT,
    )
    connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    return connection
