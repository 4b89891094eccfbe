"""Reading a snapshot as ordered streams of rows, so that tables are joined without holding them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Generic, TypeVar

from gateway.core.rows import Row
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

R = TypeVar("R", bound=Row)
SLICE = 5_000


def columns(row: type[Row], alias: str = "t") -> str:
    """The columns of a row struct, in its order."""
    return ", ".join(f"{alias}.{name}" for name in shape_of(row).names)


def is_in(column: str, values: Iterable[str]) -> str:
    """A condition that a column holds one of these texts of ours."""
    return f"{column} IN ({', '.join(repr(str(value)) for value in sorted(values))})"


async def records(snapshot: Snapshot, sql: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
    """Records one by one, read in slices."""
    async for part in snapshot.rows(sql, params, SLICE):
        for record in part:
            yield record


async def all_rows(snapshot: Snapshot, row: type[R], rest: str = "") -> list[R]:
    """Every row of a small table (rules, days, stations)."""
    sql = f"SELECT {columns(row)} FROM {row.TABLE} t {rest}"  # noqa: S608 - names of our own structs
    build = shape_of(row).build
    return [build(record) async for record in records(snapshot, sql)]  # type: ignore[misc]  # builds rows of `row`


class OutOfOrder(Exception):
    """The database sorts our serials otherwise than we do; the audit would miss rows."""


class Groups(Generic[R]):
    """Rows of one table by a key in ascending order, handed out key by key.

    sql selects the key first, then the columns of `row`, ordered by the key. Keys are ASCII digits and capitals, so
    every collation agrees; OutOfOrder is raised where one does not.
    """

    def __init__(self, snapshot: Snapshot, row: type[R], sql: str, params: Mapping[str, Any] | None = None) -> None:
        self._slices = snapshot.rows(sql, params, SLICE)
        self._build = shape_of(row).build
        self._part: list[tuple[Any, ...]] = []
        self._at = 0
        self._last = ""
        self._done = False
        self.orphans: list[str] = []

    async def take(self, key: str) -> list[R]:
        """The rows of this key; those of keys before it, which nobody asked for, become orphans."""
        found: list[R] = []
        while await self._fill():
            record = self._part[self._at]
            if record[0] > key:
                break
            self._at += 1
            if record[0] < key:
                self._orphan(record[0])
            else:
                found.append(self._build(record[1:]))  # type: ignore[arg-type]  # builds rows of R
        return found

    async def each(self) -> AsyncIterator[R]:
        """Every row, in order."""
        while await self._fill():
            record = self._part[self._at]
            self._at += 1
            yield self._build(record[1:])  # type: ignore[misc]  # builds rows of R

    async def drain(self) -> list[str]:
        """The rest are orphans; all keys nobody asked for."""
        while await self._fill():
            self._orphan(self._part[self._at][0])
            self._at += 1
        return self.orphans

    def _orphan(self, key: str) -> None:
        if key not in self.orphans[-1:] and len(self.orphans) < SLICE:
            self.orphans.append(key)

    async def _fill(self) -> bool:
        if self._at < len(self._part):
            return True
        if self._done:
            return False
        self._part = await anext(self._slices, [])
        self._at, self._done = 0, not self._part
        for record in self._part:
            if record[0] < self._last:
                raise OutOfOrder(f"{record[0]} after {self._last}")
            self._last = record[0]
        return bool(self._part)
