"""A fresh book with its writer process and a server per test; the schema is migrated once."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.store.migrations import upgrade
from gateway.store.sqlite.process import WriterProcess
from gateway.store.sqlite.store import SqliteStore
from tests.integration.http.billers import ENV
from tests.integration.http.house import ALL_UNITS, House
from tests.integration.http.shops import Pki


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


@pytest.fixture
async def house(book: Path, pki: Pki) -> AsyncIterator[House]:
    """A gateway on SQLite."""
    store = SqliteStore(book, ALL_UNITS, ENV)
    await store.open()
    built = House(store, pki, book)
    await built.price()
    await built.open()
    yield built
    await built.close()
    await store.close()
