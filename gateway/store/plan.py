"""What a Write step means for each table: the same for both engines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.rows import OutboxRow, Row
from gateway.core.steps import Write
from gateway.store.shapes import Shape, getter, shape_of


class Raced(Exception):
    """A guarded row no longer holds what was read: roll back and do the items again."""


@dataclass(frozen=True, slots=True)
class Inserts:
    """Rows to insert into one table, by key."""

    shape: Shape
    rows: list[Any]

    def columns_used(self) -> tuple[str, ...]:
        """The columns that are not NULL in all of the rows, in the table's order; binding a NULL costs as much."""
        optional = zip(*map(getter(self.shape.nullable), self.rows), strict=True)
        count = len(self.rows)
        empty = {
            name for name, column in zip(self.shape.nullable, optional, strict=False) if column.count(None) == count
        }
        return tuple(name for name in self.shape.names if name not in empty) if empty else self.shape.names


@dataclass(frozen=True, slots=True)
class Updates:
    """Updates of one table, by key. columns: those that any of the rows changes."""

    shape: Shape
    columns: tuple[str, ...]
    pairs: list[tuple[Any, Any]]


def group_inserts(rows: Iterable[Row]) -> list[Inserts]:
    """Rows by table, tables in TABLES' order (what is referred to comes first), rows by key.

    The order also makes two processes take the same unique keys in the same order.
    """
    found: dict[Shape, list[Any]] = {}
    last: type[Row] | None = None
    group: list[Any] = []
    for row in rows:
        if type(row) is not last:
            last = type(row)
            group = found.setdefault(shape_of(last), [])
        group.append(row)
    return [
        Inserts(shape, sorted(found[shape], key=shape.key_of) if len(found[shape]) > 1 else found[shape])
        for shape in sorted(found, key=_order)
    ]


def group_updates(pairs: Sequence[tuple[Row, Row]]) -> list[Updates]:
    """Pairs by table, tables in TABLES' order, pairs by key; a chain of updates of one row becomes one update.

    ValueError where an update changes what no update may change, or starts from what the one before did not leave.
    """
    found: dict[Shape, dict[tuple[Any, ...], tuple[Row, Row]]] = {}
    for before, after in pairs:
        shape = shape_of(type(before))
        if type(after) is not type(before) or shape.fixed(before) != shape.fixed(after):
            raise ValueError(f"an update of {shape.table} changes more than its MUTABLE columns")
        rows = found.setdefault(shape, {})
        key = shape.key_of(before)
        earlier = rows.get(key)
        if earlier is not None:
            if earlier[1] != before:
                raise ValueError(f"two updates of one row of {shape.table} that do not follow one another")
            before = earlier[0]  # noqa: PLW2901 - the chain starts where its first update did
        rows[key] = (before, after)
    return [update for shape in sorted(found, key=_order) if (update := _update(shape, found[shape]))]


def _update(shape: Shape, rows: dict[tuple[Any, ...], tuple[Row, Row]]) -> Updates | None:
    pairs = [rows[key] for key in sorted(rows)] if len(rows) > 1 else list(rows.values())
    were = zip(*(shape.movable(before) for before, _ in pairs), strict=True)
    become = zip(*(shape.movable(after) for _, after in pairs), strict=True)
    columns = tuple(name for name, was, now in zip(shape.mutable, were, become, strict=True) if was != now)
    if not columns:
        if not shape.guard:
            return None
        # Nothing changes, but the unit still relies on the guard.
        columns = shape.mutable[:1]
    return Updates(shape, columns, pairs)


def outbox_rows(write: Write) -> list[OutboxRow]:
    """The outbox rows a Write inserts, as listed."""
    return [row for row in write.inserts if type(row) is OutboxRow]


def _order(shape: Shape) -> int:
    return shape.order
