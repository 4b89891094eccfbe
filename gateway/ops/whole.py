"""The book together with its archive, for whoever reads all of it: the whole audit, evidence of old payments."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.core.rows import ARCHIVED
from gateway.store.port import Snapshot
from gateway.store.shapes import archive_of, shape_of

# ruff: noqa: S608 - names of our own structs


class WholeBook:
    """A Snapshot in which every table that has an archive holds the archive's rows too.

    book: the snapshot itself, where the two are apart.
    """

    def __init__(self, book: Snapshot) -> None:
        self.book = book
        self.engine = book.engine
        self._both = {shape.table: _both(shape, book.engine) for shape in map(shape_of, ARCHIVED)}
        self._names = re.compile(rf"\b({'|'.join(self._both)})\b")

    def rows(
        self, sql: str, params: Mapping[str, Any] | None = None, slice_rows: int = 10_000
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """See Snapshot.rows. sql begins with SELECT."""
        named = sorted(set(self._names.findall(sql)))
        # Not materialized: a condition on a serial must reach the indexes of both tables.
        views = ", ".join(f"{table} AS NOT MATERIALIZED ({self._both[table]})" for table in named)
        return self.book.rows(f"WITH {views} {sql}" if named else sql, params, slice_rows)


def _both(shape: Any, engine: str) -> str:
    # Inside its own definition the name means the table: on PostgreSQL as it is, on SQLite by the schema's name.
    table = f"main.{shape.table}" if engine == "sqlite" else shape.table
    columns = ", ".join(shape.names)
    return f"SELECT {columns} FROM {table} UNION ALL SELECT {columns} FROM {archive_of(shape)}"
