"""A SQLAlchemy connection in one transaction, for work that is not the drivers'."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")
BUSY_TIMEOUT_S = 30


def on_connection(url: str, work: Callable[[Connection], T], ssl: Any = None) -> T:
    """Run `work` in a transaction that commits when it returns and is rolled back when it raises.

    ssl: as asyncpg takes it; a URL cannot hold a certificate authority.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _on_sqlite(Path(str(parsed.database)), work)
    return asyncio.run(_on_postgresql(parsed.set(drivername="postgresql+asyncpg"), work, ssl))


def _on_sqlite(path: Path, work: Callable[[Connection], T]) -> T:
    def connect() -> sqlite3.Connection:
        # isolation_level None: sqlite3 itself would commit before each DDL statement.
        raw = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        return raw

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with _alone(path.parent), engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return work(connection)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One runner at a time in a folder: turning a new file's journal to WAL waits for nobody by itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def _on_postgresql(url: URL, work: Callable[[Connection], T], ssl: Any) -> T:
    options = {"target_session_attrs": "read-write", "server_settings": {"application_name": "bianmin-db"}, "ssl": ssl}
    engine = create_async_engine(url, poolclass=NullPool, connect_args=options)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
