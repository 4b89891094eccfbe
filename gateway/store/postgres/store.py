"""The Store on PostgreSQL: batches of one unit each, on as many connections as configured."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from gateway.store.lanes import Lanes, loop_ms
from gateway.store.port import Listener, Snapshot, StoreBusy, Units
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.connection import connect
from gateway.store.postgres.faults import Fault, classify
from gateway.store.postgres.numbers import NumberBlocks
from gateway.store.postgres.servers import Servers
from gateway.store.postgres.snapshot import take_snapshot
from gateway.store.postgres.worker import Worker

T = TypeVar("T")
SWEEPS = 4


class PostgresStore:
    """A Store. Connections that break are made anew; while there are none, items are answered StoreBusy.

    known: the book must be the one that was written here (see check_identity); False only for `bianmin db restored`.
    """

    def __init__(self, config: PostgresConfig, units: Units, env: Any, *, known: bool = True) -> None:
        self._config = config
        self._servers = Servers(config, known=known)
        self._listeners: list[Listener] = []
        self._writes = Lanes(units.units, config.queue_max)
        self._looks = Lanes(units.read_units, config.queue_max)
        self._numbers = NumberBlocks(self._fetch_aside)
        self._aside: Any = None
        self._warned = False
        self._workers = [
            Worker(
                config,
                self._writes,
                units.units,
                env,
                mint=self._numbers.take,
                servers=self._servers,
                listeners=self._listeners,
            )
            for _ in range(config.connections)
        ]
        self._workers += [
            Worker(config, self._looks, units.read_units, env, mint=None, servers=self._servers)
            for _ in range(config.readers)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._open = False

    async def open(self) -> None:
        """See Store.open."""
        try:
            await self._workers[0].open()  # alone first: it notes which cluster this is
            await asyncio.gather(*(worker.open() for worker in self._workers))
        except BaseException as error:  # boundary: lets go what was opened and raises on
            await self._close_connections()
            if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)):
                raise StoreBusy(f"PostgreSQL does not answer: {type(error).__name__}: {error}") from error
            raise
        self._tasks = [asyncio.create_task(worker.serve()) for worker in self._workers]
        self._tasks.append(asyncio.create_task(self._sweep()))
        self._open = True

    async def close(self) -> None:
        """See Store.close."""
        self._open = False
        await self._writes.idle()
        await self._looks.idle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._close_connections()

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        if not self._open:
            raise StoreBusy("the store is closed")
        return await self._writes.put(item)

    async def look(self, item: Any) -> Any:
        """See Store.look."""
        if not self._open:
            raise StoreBusy("the store is closed")
        return await self._looks.put(item)

    def listen(self, callback: Listener) -> None:
        """See Store.listen."""
        self._listeners.append(callback)

    def lost(self) -> str | None:
        """See Store.lost."""
        return self._servers.lost

    def depth(self) -> int:
        """See Store.depth."""
        return self._writes.depth

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        """See Store.snapshot."""
        return await take_snapshot(self._config, use, self._servers)

    def backends(self) -> list[int]:
        """Process ids, at the server, of the connections that are open."""
        aside = [] if self._aside is None or self._aside.is_closed() else [self._aside.get_server_pid()]
        return aside + [pid for worker in self._workers if (pid := worker.backend()) is not None]

    async def _fetch_aside(self, sql: str, *values: Any) -> Any:
        """One statement on a connection that no batch uses; once more on a new one where it has died."""
        try:
            return await self._ask_aside(sql, *values)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            if classify(error) is not Fault.LOST:
                raise
            self._aside.terminate()
            return await self._ask_aside(sql, *values)

    async def _ask_aside(self, sql: str, *values: Any) -> Any:
        if self._aside is None or self._aside.is_closed():
            self._aside = await connect(self._config, "numbers", self._servers)
            self._aside.add_log_listener(self._heard_aside)
        self._warned = False
        found = await self._aside.fetchval(sql, *values)
        if self._warned:
            # Numbers that a stand-by may not know would be given out twice after a fail-over.
            raise StoreBusy("committed here, perhaps not on a stand-by")
        return found

    def _heard_aside(self, _: Any, message: Any) -> None:
        self._warned = self._warned or getattr(message, "severity_en", "") == "WARNING"

    async def _sweep(self) -> None:
        """Answer what has waited too long for a connection."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._config.wait_ms / 1000 / SWEEPS)
            for lanes in (self._writes, self._looks):
                lanes.give_up(
                    lambda: StoreBusy(f"no connection was free within {self._config.wait_ms} ms"),
                    before_ms=loop_ms(loop) - self._config.wait_ms,
                )

    async def _close_connections(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))
        if self._aside is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await self._aside.close(timeout=self._config.connect_ms / 1000)
            self._aside = None
