"""Filling books before anybody serves them, and asking them afterwards."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.core.env import Env
from gateway.core.items import Item
from gateway.core.units import ITEM_TYPE, READ_UNITS, REPLY_TYPE, UNITS
from gateway.store.migrations.upgrade import upgrade
from gateway.store.port import StoreError, Units
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.engine import SqliteEngine
from tests.bench.installation import Installation, first_items
from tests.bench.results import BenchError

BATCH = 64
HOUSE_UNITS = Units(units=UNITS, read_units=READ_UNITS, item_type=ITEM_TYPE, reply_type=REPLY_TYPE)


class UnexpectedReplyError(BenchError):
    """The book refused what the bench needs done."""


def must(replies: Sequence[Any], kind: str) -> Sequence[Any]:
    """The replies, all of this kind (name of the struct)."""
    for reply in replies:
        if type(reply).__name__ != kind:
            raise UnexpectedReplyError(str(reply))
    return replies


def open_engine(path: Path, env: Env, kind: type[SqliteEngine] = SqliteEngine) -> SqliteEngine:
    """An engine in this process on a migrated file."""
    engine = kind(path, HOUSE_UNITS, env)
    engine.open()
    return engine


def fill_sqlite(house: Installation) -> None:
    """A new SQLite book with stations and prices."""
    upgrade(f"sqlite:///{house.database}")
    engine = open_engine(house.database, house.env)
    try:
        for item in first_items(house):
            must(engine.execute([item]).replies, "Kept")
    finally:
        engine.close()


def fill_postgres(house: Installation, config: PostgresConfig) -> None:
    """The same in an empty PostgreSQL database."""
    upgrade(config.url())

    async def fill() -> None:
        store = PostgresStore(config, HOUSE_UNITS, house.env)
        await store.open()
        try:
            for item in first_items(house):
                must([await store.run(item)], "Kept")
        finally:
            await store.close()

    asyncio.run(fill())


def run_in_batches(engine: SqliteEngine, items: Sequence[Item]) -> list[Any]:
    """Replies of many items, one commit per batch. A StoreError is raised."""
    replies: list[Any] = []
    for at in range(0, len(items), BATCH):
        replies += engine.execute(items[at : at + BATCH]).replies
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
    return replies


def ask_sqlite(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a read-only look at a book that is being served."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(sql, values).fetchall()
