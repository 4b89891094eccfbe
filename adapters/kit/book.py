"""The simulators' durable book: documents in a SQLite file, many changes in one commit, and the lines it shows."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

_SCHEMA = """CREATE TABLE IF NOT EXISTS document (
    family TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (family, key, seq)) STRICT, WITHOUT ROWID"""
# One statement for a whole batch: a statement per row would make the thread wait for the interpreter lock at each.
_PUT = """INSERT INTO document (family, key, seq, body)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
        json_extract(value, '$[3]') FROM json_each(?) WHERE true
    ON CONFLICT (family, key, seq) DO UPDATE SET body = excluded.body"""


class BookState(StrEnum):
    """What became of one record, in words every partner's simulator shares."""

    PENDING = "pending"
    BOOKED = "booked"
    PARTIAL = "partial"
    FAILED = "failed"
    REVERSED = "reversed"


class BookLine(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One record of a simulator's book as the control interface shows it.

    charged_fen: what is owed for this record now (0 for a reversal and for what was reversed); the sum over the book is
    what the partner wants to be paid. Dates yyyyMMdd, times yyyyMMddHHmmss, in the partner's zone; "" for none.
    received: how many calls that move money were answered from this record.
    """

    order_no: str
    order_seq: int
    kind: str
    plat_no: str
    account: str
    amount_fen: int
    charged_fen: int
    state: BookState
    partner_state: str
    fail_code: str = ""
    orig_order_no: str = ""
    reversed_by: str = ""
    acct_date: str = ""
    created_at: str
    finished_at: str = ""
    received: int
    shop_no: str


class JournalBrokenError(RuntimeError):
    """The file could not be written: nothing may be answered from memory any more."""


class Journal:
    """Keyed documents that survive a kill at any moment once `durable()` has returned.

    All changes made in one turn of the event loop, or while a commit ran, go into one commit (WAL, synchronous=FULL),
    made by one thread of its own. For one event loop. path None: a temporary file that goes away with close().
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._folder: TemporaryDirectory[str] | None = None
        self._db: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._dirty: dict[tuple[str, str, int], msgspec.Struct] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._due: asyncio.Handle | None = None
        self._running: Future[None] | None = None
        self._running_waiters: list[asyncio.Future[None]] = []
        self._broken = ""

    def open(self) -> None:
        """Open or make the file. Raises sqlite3.Error where that is impossible."""
        if self._path is None:
            self._folder = TemporaryDirectory(prefix="bianmin-book-")
        path = self._path or Path(self._folder.name if self._folder else "") / "book.db"
        # The thread has the connection to itself between open() and close().
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA busy_timeout=5000", _SCHEMA):
            self._db.execute(statement)
        self._thread = ThreadPoolExecutor(1, "book")

    def load(self, family: str) -> Iterator[bytes]:
        """Every document of one family as JSON, by key and sequence. Before anything is put."""
        assert self._db is not None, "open() comes first"
        assert self._running is None, "load() comes before the first put()"
        rows = self._db.execute("SELECT body FROM document WHERE family = ? ORDER BY key, seq", (family,))
        for (body,) in rows:
            yield body.encode()

    def put(self, family: str, key: str, seq: int, document: msgspec.Struct) -> None:
        """Write the document, as it will be when the commit begins, with the next commit.

        What is put without an await between belongs together: it is committed as one. Raises JournalBrokenError.
        """
        self._refuse_if_broken()
        self._dirty[family, key, seq] = document
        if self._due is None and self._running is None:
            self._due = asyncio.get_running_loop().call_soon(self._begin)

    async def durable(self) -> None:
        """Return when everything put so far is on disk. Raises JournalBrokenError where it will never be."""
        self._refuse_if_broken()
        if self._dirty or self._running is not None:
            waiter = asyncio.get_running_loop().create_future()
            (self._waiters if self._dirty else self._running_waiters).append(waiter)
            await waiter

    def close(self) -> None:
        """Commit what is left, close the file; harmless when repeated. Raises JournalBrokenError where that failed."""
        if self._db is None or self._thread is None:
            return
        if self._running is not None:
            wait([self._running])
            self._end(self._running)
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._dirty and not self._broken:
            last = self._thread.submit(self._write, self._batch())
            wait([last])
            self._settle(last, self._waiters)
        self._thread.shutdown()
        self._db.close()
        self._db = None
        if self._folder is not None:
            self._folder.cleanup()
        self._refuse_if_broken()

    def _begin(self) -> None:
        assert self._thread is not None, "open() comes first"
        loop = asyncio.get_running_loop()
        self._due = None
        batch = self._batch()
        self._running_waiters, self._waiters = self._waiters, []
        self._running = self._thread.submit(self._write, batch)
        self._running.add_done_callback(lambda done: loop.call_soon_threadsafe(self._end, done))

    def _batch(self) -> bytes:
        encode = msgspec.json.encode
        rows = [(*name, encode(document).decode()) for name, document in self._dirty.items()]
        self._dirty.clear()
        return encode(rows)

    def _write(self, batch: bytes) -> None:
        assert self._db is not None, "open() comes first"
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(_PUT, (batch.decode(),))
        self._db.execute("COMMIT")

    def _end(self, done: Future[None]) -> None:
        if done is not self._running:
            return  # close() has seen to it
        self._running = None
        self._settle(done, self._running_waiters)
        self._running_waiters = []
        if self._dirty and not self._broken:
            self._begin()
        elif self._broken:
            self._settle(done, self._waiters)

    def _settle(self, done: Future[None], waiters: list[asyncio.Future[None]]) -> None:
        error = done.exception()
        if error is not None:
            self._broken = f"commit failed: {error}"
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(JournalBrokenError(self._broken))

    def _refuse_if_broken(self) -> None:
        if self._broken:
            raise JournalBrokenError(self._broken)
