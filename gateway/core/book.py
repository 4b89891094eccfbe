"""The working set of one unit: rows as they were read, and what became of them."""

from collections.abc import Iterable
from typing import Any, TypeVar

from gateway.core.rows import Row
from gateway.core.steps import Write

R = TypeVar("R", bound=Row)
_Place = tuple[type[Row], tuple[Any, ...]]


class Book:
    """Rows by table and primary key. Items of a batch see what the items before them did."""

    def __init__(self) -> None:
        self._now: dict[_Place, Row] = {}
        self._was: dict[_Place, Row] = {}
        self._new: dict[_Place, None] = {}

    def load(self, rows: Iterable[Row]) -> None:
        """Take rows as read. A later reading replaces an earlier one; what became of a row stays."""
        for row in rows:
            place = _place(row)
            if self._now.get(place) is self._was.get(place):
                self._now[place] = self._was[place] = row

    def get(self, kind: type[R], *key: Any) -> R | None:
        """The row as it stands."""
        return self._now.get((kind, key))  # type: ignore[return-value]  # the place holds only rows of `kind`

    def need(self, kind: type[R], *key: Any) -> R:
        """The row as it stands; LookupError where the unit forgot to read it."""
        row = self.get(kind, *key)
        if row is None:
            raise LookupError(f"{kind.__name__} {key} was not read")
        return row

    def all(self, kind: type[R]) -> list[R]:
        """Every row of a table that is here."""
        return [row for (table, _), row in self._now.items() if table is kind]  # type: ignore[misc]

    def add(self, row: Row) -> None:
        """A new row."""
        place = _place(row)
        if place in self._now:
            raise LookupError(f"{place} is there already")
        self._now[place] = row
        self._new[place] = None

    def put(self, row: Row) -> None:
        """The row becomes this."""
        place = _place(row)
        if place not in self._now:
            raise LookupError(f"{place} was not read")
        self._now[place] = row

    def write(self) -> Write:
        """Everything that differs from what was read."""
        return Write(
            inserts=[self._now[place] for place in self._new],
            updates=[(was, self._now[place]) for place, was in self._was.items() if self._now[place] is not was],
        )


def _place(row: Row) -> _Place:
    return type(row), tuple(getattr(row, name) for name in row.KEY)
