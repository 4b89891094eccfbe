"""The working set of one unit: rows as they were read, and what became of them."""

from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from gateway.core.rows import Row
from gateway.core.steps import Write

R = TypeVar("R", bound=Row)
_Key = tuple[Any, ...]


class Book:
    """Rows by table and primary key. Items of a batch see what the items before them did."""

    def __init__(self) -> None:
        self._now: dict[type[Row], dict[_Key, Any]] = {}
        self._was: dict[type[Row], dict[_Key, Any]] = {}
        self._new: list[tuple[type[Row], _Key]] = []

    def load(self, rows: Iterable[Row]) -> None:
        """Take rows as read. A later reading replaces an earlier one; what became of a row stays."""
        for row in rows:
            kind, key = type(row), _key(row)
            now, was = self._now.setdefault(kind, {}), self._was.setdefault(kind, {})
            if now.get(key) is was.get(key):
                now[key] = was[key] = row

    def get(self, kind: type[R], *key: Any) -> R | None:
        """The row as it stands."""
        table = self._now.get(kind)
        return table.get(key) if table is not None else None

    def need(self, kind: type[R], *key: Any) -> R:
        """The row as it stands; LookupError where the unit forgot to read it."""
        row = self.get(kind, *key)
        if row is None:
            raise LookupError(f"{kind.__name__} {key} was not read")
        return row

    def all(self, kind: type[R]) -> list[R]:
        """Every row of a table that is here."""
        return list(self._now.get(kind, {}).values())

    def add(self, row: Row) -> None:
        """A new row."""
        kind, key = type(row), _key(row)
        table = self._now.setdefault(kind, {})
        if key in table:
            raise LookupError(f"{kind.__name__} {key} is there already")
        table[key] = row
        self._new.append((kind, key))

    def put(self, row: Row) -> None:
        """The row becomes this."""
        kind, key = type(row), _key(row)
        table = self._now.get(kind)
        if table is None or key not in table:
            raise LookupError(f"{kind.__name__} {key} was not read")
        table[key] = row

    def write(self) -> Write:
        """Everything that differs from what was read."""
        return Write(
            inserts=[self._now[kind][key] for kind, key in self._new],
            updates=[
                (was, now[key])
                for kind, rows in self._was.items()
                for key, was in rows.items()
                if (now := self._now[kind])[key] is not was
            ],
        )


@cache
def _getter(kind: type[Row]) -> Callable[[Row], Any]:
    return attrgetter(*kind.KEY)


def _key(row: Row) -> _Key:
    found = _getter(type(row))(row)
    return found if len(row.KEY) > 1 else (found,)
