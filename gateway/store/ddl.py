"""The statements that create everything, as text: what a first migration holds, and what a database is compared with.

`python -m gateway.store.ddl sqlite|postgresql` prints them in the form migrations are kept in.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from gateway.store.schema import build_metadata
from gateway.store.triggers import postgresql_triggers, sqlite_triggers

SEPARATOR = "\n\n"
_DIALECTS: Mapping[str, Any] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def statements(engine: str) -> list[str]:
    """CREATE statements in order, for `sqlite` or `postgresql`: tables after those they refer to, indexes, triggers."""
    dialect: Dialect = _DIALECTS[engine]()
    tables = build_metadata().sorted_tables
    found = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    for table in tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        found += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    found += sqlite_triggers() if engine == "sqlite" else postgresql_triggers()
    return [_tidy(statement) for statement in found]


def join(parts: Iterable[str]) -> str:
    """Statements as one text; none of them holds an empty line."""
    return "".join(f"{part};{SEPARATOR}" for part in parts).rstrip("\n") + "\n"


def split(text: str) -> list[str]:
    """The statements of a text that `join` made."""
    return [part.strip().removesuffix(";") for part in text.split(SEPARATOR) if part.strip()]


def _tidy(statement: str) -> str:
    lines = (line.rstrip().replace("\t", "  ") for line in statement.splitlines())
    return "\n".join(line for line in lines if line)


if __name__ == "__main__":
    sys.stdout.write(join(statements(sys.argv[1])))
