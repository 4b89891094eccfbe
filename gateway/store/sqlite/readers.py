"""Read units and snapshots on connections that cannot write, each in a thread of its own."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gateway.store.lanes import Lanes
from gateway.store.port import Snapshot, StoreBusy, StoreError, UnitFailed, Units
from gateway.store.sqlite.connection import Fault, as_store_error, classify, open_reader
from gateway.store.sqlite.engine import clock_of, look, read_version
from gateway.store.version import check_version

T = TypeVar("T")


class Readers:
    """`look`, gathered per unit like `run`: what waits while a connection is busy becomes its next transaction."""

    def __init__(
        self,
        path: Path,
        units: Units,
        env: Any,
        *,
        connections: int,
        batch_max: int,
        queue_max: int,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._path = path
        self._units = units
        self._env = env
        self._count = connections
        self._batch_max = batch_max
        self._now_ms = now_ms
        self._lanes = Lanes(units.read_units, queue_max)
        self._threads: ThreadPoolExecutor | None = None
        self._connections: list[sqlite3.Connection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    def open(self) -> None:
        """Open the connections and check the version. Raises StoreError."""
        try:
            for _ in range(self._count):
                self._connections.append(open_reader(self._path))
            check_version(read_version(self._connections[0]))
        except (sqlite3.Error, StoreError) as error:
            self._close_connections()
            raise error if isinstance(error, StoreError) else as_store_error(error) from error
        self._threads = ThreadPoolExecutor(self._count, "sqlite-read")
        self._tasks = [asyncio.create_task(self._serve(connection)) for connection in self._connections]

    async def close(self) -> None:
        """Answer what waits, then close."""
        self._closing = True
        await self._lanes.idle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._threads is not None:
            self._threads.shutdown()
        self._close_connections()

    async def look(self, item: Any) -> Any:
        """See Store.look."""
        if self._closing or not self._tasks:
            raise StoreBusy("the store is closed")
        return await self._lanes.put(item)

    def _close_connections(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    async def _serve(self, connection: sqlite3.Connection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._lanes.take(self._batch_max)
            items = [waiting.item for waiting in batch]
            work = loop.run_in_executor(self._threads, self._answer, connection, items)
            for waiting, reply in zip(batch, await work, strict=True):
                waiting.settle(reply)
            self._lanes.done(batch)

    def _answer(self, connection: sqlite3.Connection, items: Sequence[Any]) -> list[Any]:
        """One reply or StoreError per item; items are asked apart where together they fail."""
        try:
            return look(connection, self._units, self._env, items, clock_of(connection, self._now_ms))
        except Exception as error:  # boundary: whatever a unit raised belongs to its item
            if len(items) > 1:
                return [reply for item in items for reply in self._answer(connection, [item])]
            if classify(error) is Fault.BUG:
                return [UnitFailed(f"{type(items[0]).__name__}: {type(error).__name__}: {error}")]
            return [as_store_error(error)]


class SqliteSnapshot:
    """A Snapshot on one read transaction."""

    engine = "sqlite"

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def rows(
        self, sql: str, params: Mapping[str, Any] | None = None, slice_rows: int = 10_000
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """See Snapshot.rows."""
        loop = asyncio.get_running_loop()
        cursor = await loop.run_in_executor(self._thread, self._connection.execute, sql, dict(params or {}))
        try:
            while found := await loop.run_in_executor(self._thread, cursor.fetchmany, slice_rows):
                yield found
        finally:
            cursor.close()


async def take_snapshot(path: Path, use: Callable[[Snapshot], Awaitable[T]]) -> T:
    """Call `use` with a snapshot of the file as it is now."""
    loop = asyncio.get_running_loop()
    try:
        connection = open_reader(path)
    except sqlite3.Error as error:
        raise as_store_error(error) from error
    # The thread is joined before the connection it works on is closed, also where `use` is cancelled in its middle.
    with contextlib.closing(connection), ThreadPoolExecutor(1, "sqlite-snapshot") as thread:
        # BEGIN alone takes no snapshot; the first read does.
        await loop.run_in_executor(thread, connection.execute, "BEGIN")
        await loop.run_in_executor(thread, _touch, connection)
        return await use(SqliteSnapshot(connection, thread))


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
