"""A fresh book with its writer process and a server per test; the schema is migrated once."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from gateway.store.migrations import upgrade
from gateway.store.port import Store
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.process import WriterProcess
from gateway.store.sqlite.store import SqliteStore
from tests.integration.http.billers import ENV
from tests.integration.http.house import ALL_UNITS, House
from tests.integration.http.shops import Pki
from tests.stand.postgres import PostgresServer

_numbers = count(1)


@pytest.fixture(scope="session")
def pki() -> Pki:
    """One CA for all tests; older than the stations' oldest certificates."""
    return Pki.make(datetime.now(UTC) - timedelta(days=30))


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A migrated, empty file."""
    # Not pytest's own folder: a socket's path has little room.
    folder = Path(tempfile.mkdtemp(prefix="bm-"))
    upgrade(f"sqlite:///{folder / 'book.db'}")
    yield folder / "book.db"
    shutil.rmtree(folder)


@pytest.fixture
def book(template: Path) -> Iterator[Path]:
    """A copy with its writer process, forked before the test's event loop exists."""
    folder = Path(tempfile.mkdtemp(prefix="bm-"))
    path = folder / "book.db"
    shutil.copy(template, path)
    writer = WriterProcess(path, ALL_UNITS, ENV)
    writer.start()
    yield path
    writer.stop()
    shutil.rmtree(folder)


@asynccontextmanager
async def _open(store: Store, pki: Pki, path: Path | None) -> AsyncIterator[House]:
    await store.open()
    built = House(store, pki, path)
    await built.price()
    await built.open()
    yield built
    await built.close()
    await store.close()


@pytest.fixture
async def house(book: Path, pki: Pki) -> AsyncIterator[House]:
    """A gateway on SQLite."""
    async with _open(SqliteStore(book, ALL_UNITS, ENV), pki, book) as built:
        yield built


@pytest.fixture
def postgres_config(postgres: PostgresServer) -> Iterator[PostgresConfig]:
    """A migrated, empty database."""
    template = postgres.template("http_template", upgrade)
    with postgres.database(f"http_{next(_numbers)}", template) as dsn:
        host, _, name = dsn.rpartition("@")[2].partition("/")
        yield PostgresConfig(hosts=(host,), database=name, user="postgres", connections=2, readers=1)


@pytest.fixture
async def postgres_house(postgres_config: PostgresConfig, pki: Pki) -> AsyncIterator[House]:
    """A gateway on PostgreSQL."""
    async with _open(PostgresStore(postgres_config, ALL_UNITS, ENV), pki, None) as built:
        yield built


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_house(request: pytest.FixtureRequest) -> House:
    """A gateway on each engine in turn."""
    name = "house" if request.param == "sqlite" else "postgres_house"
    found: House = request.getfixturevalue(name)
    return found
