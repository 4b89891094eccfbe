"""A Snapshot on PostgreSQL: one REPEATABLE READ, READ ONLY transaction on a connection of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from gateway.store.port import Snapshot
from gateway.store.postgres import text
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.connection import connect_for_snapshot
from gateway.store.postgres.servers import Servers

T = TypeVar("T")


class PostgresSnapshot:
    """Plain SQL in one open transaction."""

    engine = "postgresql"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(
        self, sql: str, params: Mapping[str, Any] | None = None, slice_rows: int = 10_000
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """See Snapshot.rows."""
        numbered, names = text.numbered(sql)
        given = dict(params or {})
        cursor = await self._connection.cursor(numbered, *(given[name] for name in names))
        while records := await cursor.fetch(slice_rows):
            yield [tuple(record) for record in records]


async def take_snapshot(
    config: PostgresConfig, use: Callable[[Snapshot], Awaitable[T]], servers: Servers | None = None
) -> T:
    """Call `use` with a snapshot of the primary as it is now. Raises StoreRefused, StoreBusy."""
    connection = await connect_for_snapshot(config, servers)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # BEGIN alone takes no snapshot; the first statement does.
            await connection.fetchval("SELECT 1")
            return await use(PostgresSnapshot(connection))
    finally:
        connection.terminate()
