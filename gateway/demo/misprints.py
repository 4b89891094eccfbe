"""Messages as a broken publisher would leave them: put beside the gateway's own, past every rule of the book."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from gateway.config import Config
from gateway.sections import SqliteStore

_ROW = "INSERT INTO outbox (message_id, topic, key, payload, created_at) VALUES "
_WAIT_S = 20.0
Misprint = tuple[str, str, str, bytes, int]
"""message_id, topic, key, payload, created_at (ms): a row of the outbox."""


async def put_in(config: Config, rows: Sequence[Misprint]) -> None:
    """Leave them to the relay, on either engine."""
    if isinstance(config.store, SqliteStore):
        with closing(sqlite3.connect(config.store.path, timeout=_WAIT_S)) as book, book:
            book.executemany(_ROW + "(?, ?, ?, ?, ?)", rows)
        return
    import asyncpg

    connection = await asyncpg.connect(config.store.url())
    try:
        await connection.executemany(_ROW + "($1, $2, $3, $4, $5)", rows)
    finally:
        await connection.close()
