"""SQL text for PostgreSQL, made once per shape of a step: every statement takes whole batches as arrays."""

# ruff: noqa: S608 - every name comes from our own structs and catalogue, every value is a parameter

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from gateway.store.queries import BY_KEYS, PURGES, SCANNED
from gateway.store.shapes import Kind, Shape, archive_of, shape_of

ARRAYS = {Kind.NUMBER: "bigint[]", Kind.FLAG: "bigint[]", Kind.TEXT: "text[]", Kind.BYTES: "bytea[]"}
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A text with `:name` parameters as `$n`, and the names in that order."""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _PARAMETER.sub(place, sql), tuple(names)


def unnest(shape: Shape, names: Sequence[str], first: int) -> str:
    """`unnest($first::…[], …)`, one array per column."""
    arrays = (f"${first + at}::{ARRAYS[shape.column(name).kind]}" for at, name in enumerate(names))
    return f"unnest({', '.join(arrays)})"


@cache
def claim(shape: Shape) -> str:
    """INSERT of rows unless their primary key is there; gives the keys that are new."""
    names = ", ".join(shape.names)
    key = ", ".join(shape.key)
    return (
        f"INSERT INTO {shape.table} ({names}) SELECT * FROM {unnest(shape, shape.names, 1)}"
        f" ON CONFLICT ({key}) DO NOTHING RETURNING {key}"
    )


@cache
def by_keys(query: str, locking: bool) -> str:
    """SELECT for keys given as one array per key column; rows are locked in the order of their primary key.

    Each form leaves the planner no way but to start from the keys. A plain join with unnest() does not: a plan made
    while the table was empty reads the table and looks each row up among the keys, and it is kept while the table
    grows (tried: 300 payments a second for 3,000).
    """
    catalogued = BY_KEYS[query]
    shape = shape_of(catalogued.row)
    lock = catalogued.lock if locking else ""
    source = f"({catalogued.sql.strip()})" if catalogued.sql else shape.table
    extra = f" AND ({catalogued.extra})" if catalogued.extra else ""
    if len(catalogued.on) > 1 and not lock:
        names = [f"k{at}" for at in range(len(catalogued.on))]
        where = " AND ".join(f"t.{column} = k.{name}" for column, name in zip(catalogued.on, names, strict=True))
        return (
            f"SELECT {columns(shape)} FROM {unnest(shape, catalogued.on, 1)} AS k({', '.join(names)})"
            f" CROSS JOIN LATERAL (SELECT * FROM {source} t WHERE {where}{extra} OFFSET 0) t"
        )
    where = _among(shape, catalogued.on, 1)
    if len(catalogued.on) > 1:
        exact = ", ".join(f"t.{name}" for name in catalogued.on)
        where += f" AND ({exact}) IN (SELECT * FROM {unnest(shape, catalogued.on, 1)})"
    order = ", ".join(f"t.{name}" for name in shape.key)
    ending = f" ORDER BY {order} FOR {lock.upper()} OF t" if lock else ""
    return f"SELECT {columns(shape)} FROM {source} t WHERE {where}{extra}{ending}"


def _among(shape: Shape, names: Sequence[str], first: int) -> str:
    """Each column is among an array of its own: what an index finds, whatever else is joined."""
    arrays = ((name, f"${first + at}::{ARRAYS[shape.column(name).kind]}") for at, name in enumerate(names))
    return " AND ".join(f"t.{name} = ANY({array})" for name, array in arrays)


@cache
def scanned(query: str, locking: bool) -> tuple[str, tuple[str, ...]]:
    """SELECT of a scanned query and the names of its parameters in order."""
    catalogued = SCANNED[query]
    sql = f"SELECT {columns(shape_of(catalogued.row))} {catalogued.sql}"
    if locking and catalogued.lock == "skip":
        sql += " FOR UPDATE OF t SKIP LOCKED"
    return numbered(sql)


@cache
def purge(query: str) -> tuple[str, tuple[str, ...]]:
    """A statement that deletes and the names of its parameters in order."""
    return numbered(PURGES[query])


@cache
def archive(shape: Shape) -> str:
    """INSERT of rows into the archive."""
    rows = f"SELECT * FROM {unnest(shape, shape.names, 1)}"
    return f"INSERT INTO {archive_of(shape)} ({', '.join(shape.names)}) {rows}"


@cache
def leave(shape: Shape) -> str:
    """DELETE of rows that are in the archive, by key and guard."""
    names = shape.key + shape.guard
    held = ", ".join(f"w_{name}" for name in names)
    where = " AND ".join(f"t.{name} = v.w_{name}" for name in names)
    among = _among(shape, shape.key, 1)
    return f"DELETE FROM {shape.table} t USING {unnest(shape, names, 1)} AS v({held}) WHERE {where} AND {among}"


@cache
def columns(shape: Shape) -> str:
    """The columns of alias `t`, in order."""
    return ", ".join(f"t.{name}" for name in shape.names)


TRANSACTION = "pg_current_xact_id()::text::bigint"
"""The server's number of the transaction, never given again."""


@lru_cache(maxsize=1024)
def write(updates: tuple[Shape, ...], inserts: tuple[Shape, ...]) -> str:
    """One statement that updates tables and inserts into tables; gives how many rows each update met, and TRANSACTION.

    Parameters: per update all MUTABLE columns, the key, the guard; per insert all columns. Not only the columns that
    change: PostgreSQL sees by itself which indexes an update leaves alone, and each text is planned once. Checks of
    foreign keys run when the whole statement is done, so the order of tables does not matter; but a row that leaves a
    unique index must do so before another enters it, so an insert waits for the update of its own table.
    """
    parts: list[str] = []
    first = 1
    for shape in updates:
        parts.append(f"u_{shape.table} AS ({_update(shape, first)} RETURNING 1)")
        first += len(update_columns(shape))
    for shape in inserts:
        wait = f" WHERE (SELECT count(*) FROM u_{shape.table}) >= 0" if shape in updates else ""
        rows = f"SELECT * FROM {unnest(shape, shape.names, first)}{wait}"
        parts.append(f"i_{shape.table} AS (INSERT INTO {shape.table} ({', '.join(shape.names)}) {rows})")
        first += len(shape.names)
    counts = [f"(SELECT count(*) FROM u_{shape.table})" for shape in updates]
    return f"WITH {', '.join(parts)} SELECT {', '.join([*counts, TRANSACTION])}"


def update_columns(shape: Shape) -> tuple[str, ...]:
    """The columns whose arrays an update of a table takes: new values, then key and guard as they were."""
    return shape.mutable + shape.key + shape.guard


def _update(shape: Shape, first: int) -> str:
    given = [f"n_{name}" for name in shape.mutable]
    held = [f"w_{name}" for name in shape.key + shape.guard]
    values = unnest(shape, update_columns(shape), first)
    sets = ", ".join(f"{name} = v.n_{name}" for name in shape.mutable)
    holds = [f"t.{name} = v.w_{name}" for name in shape.key]
    holds += [
        f"t.{name} {'IS NOT DISTINCT FROM' if shape.column(name).nullable else '='} v.w_{name}" for name in shape.guard
    ]
    among = _among(shape, shape.key, first + len(shape.mutable))
    source = f"{values} AS v({', '.join(given + held)})"
    return f"UPDATE {shape.table} t SET {sets} FROM {source} WHERE {' AND '.join(holds)} AND {among}"


NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The database's clock, whole ms."""

NUMBERS = (
    "INSERT INTO partner_counters (biller, day, next_number) VALUES ($1, $2, 1 + $3::bigint)"
    " ON CONFLICT (biller, day) DO UPDATE SET next_number = partner_counters.next_number + $3 RETURNING next_number"
)
"""Take $3 numbers; gives the number after the last of them."""
