"""The tables, as SQLAlchemy Core sees them: one per row struct, columns in the struct's order.

For migrations, their check and the tools; the drivers read the structs themselves and never import this.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from gateway.store import shapes
from gateway.store.indexes import INDEXES, spell_out
from gateway.store.rules import CHECKS, FOREIGN_KEYS, WITHOUT_ROWID, check_flag
from gateway.store.shapes import Kind, Shape

# STRICT tables refuse BIGINT; a flag is a number, because the two engines share their query texts.
_NUMBER: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")
_TYPES: Mapping[Kind, TypeEngine[Any]] = {
    Kind.NUMBER: _NUMBER,
    Kind.FLAG: _NUMBER,
    Kind.TEXT: Text(),
    Kind.BYTES: LargeBinary(),
}


def build_metadata() -> MetaData:
    """All tables with their keys, checks, foreign keys and indexes (triggers: `gateway.store.triggers`)."""
    metadata = MetaData()
    for shape in shapes.all_shapes():
        _table(metadata, shape)
    return metadata


def _table(metadata: MetaData, shape: Shape) -> Table:
    name = shape.table
    checks = {**{f"{flag}_flag": check_flag(flag) for flag in shape.flags}, **CHECKS.get(name, {})}
    table = Table(
        name,
        metadata,
        *(
            Column(column.name, _TYPES[column.kind], nullable=column.nullable, autoincrement=False)
            for column in shape.columns
        ),
        PrimaryKeyConstraint(*shape.key, name=f"pk_{name}"),
        *(CheckConstraint(body, name=f"ck_{name}_{check}") for check, body in checks.items()),
        *(
            ForeignKeyConstraint(
                key.columns,
                [f"{key.parent}.{column}" for column in key.parent_columns],
                name=f"fk_{name}_{key.columns[-1]}",
            )
            for key in FOREIGN_KEYS.get(name, ())
        ),
        sqlite_strict=True,
        sqlite_with_rowid=name not in WITHOUT_ROWID,
    )
    for index in INDEXES.get(name, ()):
        Index(
            f"{'uq' if index.unique else 'ix'}_{name}_{index.name}",
            *(table.c[column] for column in index.columns),
            unique=index.unique,
            sqlite_where=text(spell_out(index.where)) if index.where else None,
            postgresql_where=text(index.where) if index.where else None,
        )
    return table
