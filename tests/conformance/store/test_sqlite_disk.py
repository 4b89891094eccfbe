"""The file: full, read-only, failing; and a log that stays small."""

import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.store.port import StoreBusy, StoreFull
from gateway.store.sqlite.checkpoint import Checkpointer
from gateway.store.sqlite.connection import open_reader
from gateway.store.sqlite.engine import SqliteEngine
from tests.conformance.store import toys
from tests.conformance.store.toys import serial

MIB = 1024 * 1024


def pays(first: int, count: int) -> list[toys.Pay]:
    return [
        toys.Pay(arrival_id=f"a{number}", key=f"key-{number}", serial=serial(number), account=f"A{number}")
        for number in range(first, first + count)
    ]


@pytest.fixture
def engine(sqlite_file: Path) -> Iterator[SqliteEngine]:
    """An engine in this process."""
    found = SqliteEngine(sqlite_file, toys.UNITS, None, now_ms=lambda: toys.MS)
    found.open()
    yield found
    found.close()


def count(engine: SqliteEngine) -> dict[str, int]:
    """Rows per table that a payment writes, as payments."""
    tables = ("payments", "orders", "transactions", "outbox", "idempotency_keys", "nonces", "records")
    found = {table: engine.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    found["postings"] = engine.connection.execute("SELECT count(*) / 2 FROM postings").fetchone()[0]
    return found


def fill(engine: SqliteEngine) -> tuple[int, Sequence[Any]]:
    """Batches until one fails; how many payments went in, and the failed replies."""
    for first in range(0, 64_000, 64):
        replies = engine.execute(pays(first, 64)).replies
        if not isinstance(replies[0], toys.Done):
            return first, replies
    raise AssertionError("the disk did not fill up")


def test_a_full_disk_refuses_whole_batches_and_recovers(engine: SqliteEngine) -> None:
    (pages,) = engine.connection.execute("PRAGMA page_count").fetchone()
    engine.connection.execute(f"PRAGMA max_page_count = {pages + 200}")
    written, refused = fill(engine)
    assert written > 0
    assert all(isinstance(reply, StoreFull) and "full" in reply.cause and not reply.in_doubt for reply in refused)
    assert set(count(engine).values()) == {written}
    engine.connection.execute("PRAGMA max_page_count = 1000000")
    assert all(isinstance(reply, toys.Done) for reply in engine.execute(pays(written, 64)).replies)
    assert set(count(engine).values()) == {written + 64}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("a tmpfs of a given size can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, sqlite_template: Path) -> None:
    path = small_disk / "book.db"
    path.write_bytes(sqlite_template.read_bytes())
    engine = SqliteEngine(path, toys.UNITS, None)
    engine.open()
    try:
        written, refused = fill(engine)
        assert all(isinstance(reply, StoreFull) and not reply.in_doubt for reply in refused)
        assert set(count(engine).values()) == {written}
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        assert not engine.broken
        assert all(isinstance(reply, toys.Done) for reply in engine.execute(pays(written, 64)).replies)
        assert engine.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        engine.close()


def test_a_database_that_became_read_only(engine: SqliteEngine) -> None:
    engine.connection.execute("PRAGMA query_only = ON")
    replies = engine.execute(pays(0, 3)).replies
    assert all(isinstance(reply, StoreFull) and "readonly" in reply.cause for reply in replies)
    engine.connection.execute("PRAGMA query_only = OFF")
    assert all(isinstance(reply, toys.Done) for reply in engine.execute(pays(0, 3)).replies)


def test_a_read_only_file(small_disk: Path, sqlite_template: Path) -> None:
    path = small_disk / "book.db"
    path.write_bytes(sqlite_template.read_bytes())
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreFull):
        SqliteEngine(path, toys.UNITS, None).open()


class FailingDisk:
    """A connection whose COMMIT fails as fsync does."""

    def __init__(self, inner: sqlite3.Connection) -> None:
        self._inner = inner

    def execute(self, sql: str, *values: Any) -> Any:
        """As the connection, but for COMMIT."""
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self._inner.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_a_failed_fsync_leaves_doubt_and_ends_the_writer(engine: SqliteEngine) -> None:
    whole = engine.connection
    engine._connection = cast(sqlite3.Connection, FailingDisk(whole))
    replies = engine.execute(pays(0, 3)).replies
    assert all(isinstance(reply, StoreFull) and reply.in_doubt for reply in replies)
    assert engine.broken
    # Nothing more is tried on a disk that lies.
    engine._connection = whole
    assert all(isinstance(reply, StoreBusy) and not reply.in_doubt for reply in engine.execute(pays(9, 1)).replies)


def _write_steadily(engine: SqliteEngine, checkpointer: Checkpointer, batches: int) -> int:
    """Commits without pause; the largest the log has been, in bytes."""
    largest = 0
    for at in range(batches):
        assert isinstance(engine.execute(pays(at * 64, 64)).replies[0], toys.Done)
        checkpointer.committed()
        largest = max(largest, checkpointer.log_bytes())
    return largest


def test_the_log_stays_small_under_steady_load(engine: SqliteEngine) -> None:
    checkpointer = Checkpointer(engine.path, passive_bytes=MIB, restart_bytes=3 * MIB)
    checkpointer.start()
    try:
        largest = _write_steadily(engine, checkpointer, 80)
    finally:
        checkpointer.stop()
    assert engine.path.stat().st_size > 12 * MIB
    assert largest < 10 * MIB


def test_a_long_reader_holds_the_log_only_while_it_reads(engine: SqliteEngine) -> None:
    checkpointer = Checkpointer(engine.path, passive_bytes=MIB // 4, restart_bytes=MIB)
    reader = open_reader(engine.path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM payments").fetchone() == (0,)
    checkpointer.start()
    try:
        held = _write_steadily(engine, checkpointer, 20)
        assert reader.execute("SELECT count(*) FROM payments").fetchone() == (0,)
        reader.close()
        for at in range(20, 60):
            engine.execute(pays(at * 64, 64))
            checkpointer.committed()
    finally:
        checkpointer.stop()
    assert checkpointer.log_bytes() < held


def test_the_database_clock_is_that_of_the_machine(sqlite_file: Path) -> None:
    engine = SqliteEngine(sqlite_file, toys.UNITS, None)
    engine.open()
    import time

    before = time.time_ns() // 1_000_000
    found = engine.look(toys.Ask(serials=[]))
    after = time.time_ns() // 1_000_000
    engine.close()
    assert before - 1 <= found.number <= after + 1
