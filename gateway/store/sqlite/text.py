"""SQL text for SQLite, made once per shape of a step."""

# ruff: noqa: S608 - every name comes from our own structs and catalogue, every value is a parameter

from functools import cache, lru_cache

from gateway.store.indexes import spell_out
from gateway.store.queries import BY_KEYS, SCANNED, ByKeys
from gateway.store.shapes import Shape, archive_of, shape_of

BIND_MAX = 4096
"""Parameters per look-up statement; more keys take more statements."""


@lru_cache(maxsize=1024)
def insert(shape: Shape, names: tuple[str, ...]) -> str:
    """INSERT of one row with these columns; the others are NULL."""
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {shape.table} ({', '.join(names)}) VALUES ({marks})"


@lru_cache(maxsize=1024)
def claim(shape: Shape, names: tuple[str, ...]) -> str:
    """INSERT of one row unless its primary key is there; any other conflict is an error."""
    return f"{insert(shape, names)} ON CONFLICT ({', '.join(shape.key)}) DO NOTHING"


@cache
def archive(shape: Shape) -> str:
    """INSERT of one row into the archive."""
    marks = ", ".join("?" * len(shape.names))
    return f"INSERT INTO {archive_of(shape)} ({', '.join(shape.names)}) VALUES ({marks})"


@cache
def leave(shape: Shape) -> str:
    """DELETE of one row that is in the archive, by key and guard."""
    return f"DELETE FROM {shape.table} WHERE {' AND '.join(f'{name} = ?' for name in shape.key + shape.guard)}"


@cache
def update(shape: Shape, columns: tuple[str, ...]) -> str:
    """UPDATE of these columns of one row that still holds its guard; parameters: columns, key, guard.

    Only the columns that change: SQLite then leaves the indexes of all others alone.
    """
    sets = ", ".join(f"{name} = ?" for name in columns)
    holds = [f"{name} = ?" for name in shape.key]
    holds += [f"{name} {'IS' if shape.column(name).nullable else '='} ?" for name in shape.guard]
    return f"UPDATE {shape.table} SET {sets} WHERE {' AND '.join(holds)}"


def chunk_size(query: str) -> int:
    """Keys that one look-up statement takes."""
    return BIND_MAX // len(BY_KEYS[query].on)


def padded(count: int) -> int:
    """The power of two from which a statement for `count` keys is made: few texts serve all sizes."""
    return 1 << (count - 1).bit_length()


@cache
def by_keys(query: str, count: int) -> str:
    """SELECT for `count` keys; unused ones are NULL and match nothing.

    A row value `IN (VALUES …)` makes SQLite scan the table, and CROSS JOIN is how it is told to start from the keys.
    """
    catalogued: ByKeys = BY_KEYS[query]
    shape = shape_of(catalogued.row)
    one = f"({', '.join('?' * len(catalogued.on))})"
    names = ", ".join(f"k{at}" for at in range(len(catalogued.on)))
    source = f"({catalogued.sql.strip()})" if catalogued.sql else shape.table
    where = [f"t.{name} = k.k{at}" for at, name in enumerate(catalogued.on)]
    if catalogued.extra:
        where.append(spell_out(catalogued.extra))
    return (
        f"WITH k({names}) AS (VALUES {', '.join([one] * count)}) "
        f"SELECT {columns(shape)} FROM k CROSS JOIN {source} t WHERE {' AND '.join(where)}"
    )


@cache
def scanned(query: str) -> str:
    """SELECT of a scanned query; SQLite takes its `:name` parameters as they are."""
    catalogued = SCANNED[query]
    return f"SELECT {columns(shape_of(catalogued.row))} {spell_out(catalogued.sql)}"


@cache
def columns(shape: Shape) -> str:
    """The columns of alias `t`, in order."""
    return ", ".join(f"t.{name}" for name in shape.names)


NOW = "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
"""The database's clock, whole ms. SQLite counts days from noon of 4714 B.C.; a double holds them to 0.1 ms."""

NUMBERS = (
    "INSERT INTO partner_counters (biller, day, next_number) VALUES (:biller, :day, 1 + :count)"
    " ON CONFLICT (biller, day) DO UPDATE SET next_number = next_number + :count RETURNING next_number"
)
"""Take :count numbers; gives the number after the last of them."""
