"""What a row struct looks like in SQL, found from the struct itself: the drivers need no other description."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from gateway.core.rows import ARCHIVED, TABLES, Row


class Kind(StrEnum):
    """How a column is stored. FLAG is a bool kept as 0 or 1."""

    NUMBER = "number"
    TEXT = "text"
    BYTES = "bytes"
    FLAG = "flag"


_KINDS: dict[Any, Kind] = {int: Kind.NUMBER, str: Kind.TEXT, bytes: Kind.BYTES, bool: Kind.FLAG}


@dataclass(frozen=True, slots=True)
class Column:
    """One column, named and placed as the field of its struct."""

    name: str
    kind: Kind
    nullable: bool


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A row struct as SQL sees it. values, key_of, fixed, movable: tuples out of a row; order is TABLES' order."""

    row: type[Row]
    table: str
    order: int
    columns: tuple[Column, ...]
    names: tuple[str, ...]
    key: tuple[str, ...]
    mutable: tuple[str, ...]
    guard: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    key_of: Callable[[Any], tuple[Any, ...]]
    fixed: Callable[[Any], tuple[Any, ...]]
    movable: Callable[[Any], tuple[Any, ...]]
    flags: tuple[str, ...]
    nullable: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column of that name; ValueError if there is none."""
        return self.columns[self.names.index(name)]

    def build(self, record: Sequence[Any]) -> Row:
        """A row from one record whose values come in the order of `names`."""
        fields = dict(zip(self.names, record, strict=True))
        for flag in self.flags:
            value = fields[flag]
            fields[flag] = None if value is None else bool(value)
        return self.row(**fields)


@cache
def getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that takes these attributes out of a value, always as a tuple."""
    if not names:
        return lambda _: ()
    take = attrgetter(*names)
    return (lambda value: (take(value),)) if len(names) == 1 else take


@cache
def shape_of(row: type[Row]) -> Shape:
    """The shape of a row struct. TypeError for a field that is no int, str, bytes or bool (or None)."""
    columns = tuple(_column(field) for field in msgspec.structs.fields(row))
    names = tuple(column.name for column in columns)
    unknown = {*row.KEY, *row.MUTABLE, *row.GUARD} - set(names)
    if unknown:
        raise TypeError(f"{row.__name__} names columns it does not have: {sorted(unknown)}")
    return Shape(
        row=row,
        table=row.TABLE,
        order=TABLES.index(row) if row in TABLES else len(TABLES),
        columns=columns,
        names=names,
        key=row.KEY,
        mutable=row.MUTABLE,
        guard=row.GUARD,
        values=getter(names),
        key_of=getter(row.KEY),
        fixed=getter(tuple(name for name in names if name not in row.MUTABLE)),
        movable=getter(row.MUTABLE),
        flags=tuple(column.name for column in columns if column.kind is Kind.FLAG),
        nullable=tuple(column.name for column in columns if column.nullable),
    )


def _column(field: msgspec.structs.FieldInfo) -> Column:
    alternatives = set(get_args(field.type)) if get_origin(field.type) in (Union, UnionType) else {field.type}
    nullable = type(None) in alternatives
    plain = alternatives - {type(None)}
    if len(plain) != 1 or not plain <= set(_KINDS):
        raise TypeError(f"no column type for field {field.name}: {field.type}")
    return Column(name=field.name, kind=_KINDS[plain.pop()], nullable=nullable)


def all_shapes() -> Iterable[Shape]:
    """Every table, in TABLES' order: a table comes after those it refers to."""
    return map(shape_of, TABLES)


def archive_of(shape: Shape) -> str:
    """The table its rows move to. ValueError for a table that has no archive."""
    if shape.row not in ARCHIVED:
        raise ValueError(f"rows of {shape.table} do not leave the book")
    return f"archive_{shape.table}"
