"""`bianmin db check`: what a database has that the tables do not say, and the other way round."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url

from gateway.store.ddl import statements
from gateway.store.migrations.connect import on_connection
from gateway.store.version import HEAD, SQL, TABLE

_REFERENCE = "bianmin_check"
_SPACES = re.compile(r"\s+")


def check(url: str, ssl: Any = None) -> list[str]:
    """Differences between a database and the schema, one line each, none where they are equal.

    Compared: tables, columns with type and NOT NULL, keys, checks, foreign keys, indexes, triggers, version. The
    schema is created beside it and read back by the same code (SQLite: in memory; PostgreSQL: in a schema of its
    own, rolled back), so both sides are as the engine itself spells them. Changes nothing.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return [f"missing: the file {parsed.database}"]
    return on_connection(url, _differences, ssl)


def _differences(connection: Connection) -> list[str]:
    if connection.dialect.name == "postgresql":
        found = set(_postgresql_parts(connection, "current_schema()"))
        wanted = _postgresql_reference(connection)
    else:
        found = set(_sqlite_parts(connection))
        wanted = _sqlite_reference()
    version = next(iter(connection.exec_driver_sql(SQL).scalars()), None) if f"table {TABLE}" in found else None
    found = {part for part in found if TABLE not in part.replace(".", " ").split()}
    lines = [f"missing: {part}" for part in sorted(wanted - found)]
    # More storage parameters than ours are the operator's own tuning.
    lines += [f"unexpected: {part}" for part in sorted(found - wanted) if not part.startswith("storage ")]
    if version != HEAD:
        newer = " (newer than this program)" if version is not None and version > HEAD else ""
        lines.insert(0, f"version: {version}, not {HEAD}{newer}")
    return lines


def _sqlite_reference() -> set[str]:
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            for statement in statements("sqlite"):
                connection.exec_driver_sql(statement)
            return set(_sqlite_parts(connection))
    finally:
        engine.dispose()


def _sqlite_parts(connection: Connection) -> Iterator[str]:
    rows = connection.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    ).all()
    for kind, name, table, sql in rows:
        text = _SPACES.sub(" ", sql)
        if kind != "table":
            # The table's name comes first, so that the version table's own parts can be told.
            yield f"{kind} {table}.{name}: {text}"
            continue
        yield f"table {name}"
        yield f"table {name} options: {text.rpartition(')')[2].strip()}"
        for _, column, spec, notnull, default, key in connection.exec_driver_sql(f"PRAGMA table_info({name})"):
            yield f"column {name}.{column}: {spec} notnull={notnull} default={default} key={key}"
        for row in connection.exec_driver_sql(f"PRAGMA foreign_key_list({name})"):
            # id and seq only number them.
            yield f"foreign key {name}.{row[3]}: {tuple(row)[2:]}"
        for body in _checks(text):
            yield f"check {name}: {body}"


def _checks(sql: str) -> Iterator[str]:
    """`name CHECK (…)` of a CREATE TABLE, by counting brackets; our checks hold none inside quotes."""
    for start in re.finditer(r"CONSTRAINT (\w+) CHECK \(", sql):
        depth, at = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            at += 1
        yield f"{start[1]} {sql[start.end() : at - 1]}"


def _postgresql_reference(connection: Connection) -> set[str]:
    inner = connection.begin_nested()
    try:
        connection.exec_driver_sql(f"CREATE SCHEMA {_REFERENCE}")
        connection.exec_driver_sql(f"SET LOCAL search_path TO {_REFERENCE}")
        for statement in statements("postgresql"):
            connection.exec_driver_sql(statement)
        return set(_postgresql_parts(connection, f"'{_REFERENCE}'"))
    finally:
        inner.rollback()


_POSTGRESQL_PARTS = """
SELECT 'table ' || c.relname FROM pg_class c WHERE c.relnamespace = :ns AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT 'storage ' || c.relname || '.' || option FROM pg_class c, unnest(c.reloptions) option
 WHERE c.relnamespace = :ns AND c.relkind = 'r'
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname || ': ' || format_type(a.atttypid, a.atttypmod)
       || ' notnull=' || a.attnotnull || ' default=' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relnamespace = :ns AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || c.relname || '.' || k.conname || ': ' || pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = :ns AND k.contype <> 'n'
UNION ALL
SELECT 'index ' || c.relname || '.' || i.relname || ': ' || pg_get_indexdef(x.indexrelid)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
 WHERE c.relnamespace = :ns
UNION ALL
SELECT 'trigger ' || c.relname || '.' || t.tgname || ': ' || pg_get_triggerdef(t.oid)
       || ' enabled=' || t.tgenabled::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = :ns AND NOT t.tgisinternal
UNION ALL
SELECT 'function ' || p.proname || ': ' || p.prosrc FROM pg_proc p WHERE p.pronamespace = :ns
"""


def _postgresql_parts(connection: Connection, schema: str) -> Iterator[str]:
    (name, oid) = connection.exec_driver_sql(
        f"SELECT nspname::text, oid::bigint FROM pg_namespace WHERE nspname = {schema}"  # noqa: S608 - two literals
    ).one()
    prefix = re.compile(rf"\b{re.escape(name)}\.")
    for part in connection.exec_driver_sql(_POSTGRESQL_PARTS.replace(":ns", str(oid))).scalars():
        yield _SPACES.sub(" ", prefix.sub("", part))
