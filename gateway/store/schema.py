"""The tables, as SQLAlchemy Core sees them: one per row struct, columns in the struct's order.

For migrations, their check and the tools; the drivers read the structs themselves and never import this.
"""

from collections.abc import Mapping, Sequence
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

from gateway.core.rows import ARCHIVED
from gateway.store import shapes
from gateway.store.indexes import ARCHIVE_INDEXES, INDEXES, IndexRule, spell_out
from gateway.store.rules import CHECKS, FOREIGN_KEYS, WITHOUT_ROWID, ForeignKey, check_flag
from gateway.store.shapes import Kind, Shape
from gateway.store.storage import STORAGE

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
        _table(metadata, shape, shape.table, INDEXES.get(shape.table, ()), FOREIGN_KEYS.get(shape.table, ()))
    for row in ARCHIVED:
        shape = shapes.shape_of(row)
        _table(metadata, shape, shapes.archive_of(shape), ARCHIVE_INDEXES.get(shape.table, ()), ())
    return metadata


def _table(
    metadata: MetaData,
    shape: Shape,
    name: str,
    indexes: Sequence[IndexRule],
    foreign_keys: Sequence[ForeignKey],
) -> Table:
    checks = {**{f"{flag}_flag": check_flag(flag) for flag in shape.flags}, **CHECKS.get(shape.table, {})}
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
            for key in foreign_keys
        ),
        sqlite_strict=True,
        sqlite_with_rowid=name not in WITHOUT_ROWID,
        postgresql_with=dict(STORAGE.get(name, {})),
    )
    for index in indexes:
        Index(
            f"{'uq' if index.unique else 'ix'}_{name}_{index.name}",
            *(table.c[column] for column in index.columns),
            unique=index.unique,
            sqlite_where=text(spell_out(index.where)) if index.where else None,
            postgresql_where=text(index.where) if index.where else None,
        )
    return table
