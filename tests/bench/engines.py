"""A filled book on either engine: how a gateway is told of it, how it is written before it is served, and asked."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import asyncpg

from gateway.core.items import Item
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from tests.bench.books import (
    BATCH,
    HOUSE_UNITS,
    ask_sqlite,
    fill_postgres,
    fill_sqlite,
    open_engine,
    run_in_batches,
)
from tests.bench.gateway import sqlite_store
from tests.bench.installation import Installation
from tests.stand.postgres import PostgresServer

DURABLE_SERVER = {"shared_buffers": "256MB", "max_wal_size": "4GB"}


class Book(Protocol):
    """engine: its name in results. store: inline table of the configuration."""

    engine: str
    store: str

    def run(self, items: Sequence[Item]) -> list[Any]:
        """Replies; a StoreError is raised. Nobody serves the book."""
        ...

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a look beside whoever serves it."""
        ...


class SqliteBook:
    """A file in the installation's folder."""

    engine = "sqlite"

    def __init__(self, house: Installation) -> None:
        self._house = house
        self.store = sqlite_store(house)
        fill_sqlite(house)

    def run(self, items: Sequence[Item]) -> list[Any]:
        """See Book."""
        engine = open_engine(self._house.database, self._house.env)
        try:
            return run_in_batches(engine, items)
        finally:
            engine.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """See Book."""
        return ask_sqlite(self._house.database, sql)


class PostgresBook:
    """A database of its own on a durable server."""

    engine = "postgresql"

    def __init__(self, house: Installation, server: PostgresServer, database: str) -> None:
        self._house, self._dsn = house, server.dsn(database)
        host = f"127.0.0.1:{server.port}"
        self._config = PostgresConfig(hosts=(host,), database=database, user="postgres", ssl=False)
        self.store = (
            f'engine = "postgresql", hosts = ["{host}"], database = "{database}", user = "postgres", tls = "off"'
        )
        fill_postgres(house, self._config)

    def run(self, items: Sequence[Item]) -> list[Any]:
        """See Book."""
        return asyncio.run(self._run(items))

    async def _run(self, items: Sequence[Item]) -> list[Any]:
        store = PostgresStore(self._config, HOUSE_UNITS, self._house.env)
        await store.open()
        try:
            replies: list[Any] = []
            for at in range(0, len(items), BATCH):
                replies += await asyncio.gather(*(store.run(item) for item in items[at : at + BATCH]))
            return replies
        finally:
            await store.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """See Book."""

        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self._dsn)
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return asyncio.run(ask())


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that fsyncs, with the memory the bench gives it."""
    with PostgresServer(durable=True, settings=DURABLE_SERVER) as server:
        yield server


@contextmanager
def postgres_book(house: Installation, server: PostgresServer, database: str) -> Iterator[PostgresBook]:
    """A filled database, dropped with the block."""
    with server.database(database):
        yield PostgresBook(house, server, database)
