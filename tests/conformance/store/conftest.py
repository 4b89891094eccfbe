"""A fresh book per test on each engine, with one station in it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.store.migrations import upgrade
from gateway.store.port import Store
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.connection import open_writer
from gateway.store.sqlite.process import WriterProcess
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store import toys
from tests.stand.postgres import PostgresServer

_numbers = count(1)


class SqliteBook:
    """A file with its writer process."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.writer = WriterProcess(path, toys.UNITS, None)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Store]:
        """A store on it; several are several gateways."""
        store = SqliteStore(self.path, toys.UNITS, None, **options)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def sql(self, text: str) -> Sequence[tuple[Any, ...]]:
        """Plain SQL past the store, as a person with a console would write it."""
        connection = open_writer(self.path)
        try:
            return connection.execute(text).fetchall()
        finally:
            connection.close()


class PostgresBook:
    """A database."""

    engine = "postgresql"

    def __init__(self, dsn: str) -> None:
        self.url = dsn
        host, _, name = dsn.rpartition("@")[2].partition("/")
        self.config = PostgresConfig(hosts=(host,), database=name, user="postgres", connections=3, readers=1)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Store]:
        """A store on it; several are several gateways."""
        config = PostgresConfig(**{**{name: getattr(self.config, name) for name in _FIELDS}, **options})
        store = PostgresStore(config, toys.UNITS, None)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def sql(self, text: str) -> Sequence[tuple[Any, ...]]:
        """Plain SQL past the store."""
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(record) for record in await connection.fetch(text)]
        finally:
            await connection.close()


_FIELDS = ("hosts", "database", "user", "connections", "readers")
Book = SqliteBook | PostgresBook


async def _found(store: Store) -> None:
    for row in toys.station():
        await store.run(toys.insert(row))


def _new_file() -> Path:
    # Not pytest's own folder: a socket's path has little room.
    return Path(tempfile.mkdtemp(prefix="bm-")) / "book.db"


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    """A migrated file with the station in it."""
    path = _new_file()
    upgrade(f"sqlite:///{path}")
    book = SqliteBook(path)
    book.writer.start()

    async def fill() -> None:
        async with book.open() as store:
            await _found(store)

    try:
        asyncio.run(fill())
    finally:
        book.writer.stop()
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture
def sqlite_file(sqlite_template: Path) -> Iterator[Path]:
    """A copy of the template, with nobody serving it."""
    path = _new_file()
    shutil.copy(sqlite_template, path)
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture
def sqlite_book(sqlite_file: Path) -> Iterator[SqliteBook]:
    """A file and its writer."""
    book = SqliteBook(sqlite_file)
    book.writer.start()
    yield book
    book.writer.stop()


def build(dsn: str) -> None:
    """Tables and the station, in an empty database."""
    upgrade(dsn)

    async def fill() -> None:
        async with PostgresBook(dsn).open() as store:
            await _found(store)

    asyncio.run(fill())


@pytest.fixture
def postgres_book(postgres: PostgresServer) -> Iterator[PostgresBook]:
    """A database made from the template."""
    template = postgres.template("store_template", build)
    with postgres.database(f"store_{next(_numbers)}", template) as dsn:
        yield PostgresBook(dsn)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def book(request: pytest.FixtureRequest) -> Book:
    """One book, on each engine in turn."""
    found: Book = request.getfixturevalue(f"{request.param}_book")
    return found


@pytest.fixture
async def store(book: Book) -> AsyncIterator[Store]:
    """A store on the book."""
    async with book.open() as opened:
        yield opened
