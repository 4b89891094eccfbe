"""With many rows and true statistics no statement of the drivers reads a big table, however the planner is set."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from gateway.core.rows import ARCHIVED
from gateway.store.migrations import upgrade
from gateway.store.postgres import text
from gateway.store.queries import BY_KEYS, PURGES, SCANNED
from gateway.store.shapes import all_shapes, shape_of
from tests.integration.postgres.filled import BIG, fill
from tests.stand.postgres import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
PAYMENTS = 20_000


def statements() -> Iterator[tuple[str, str]]:
    """Name and text of everything the drivers may run."""
    for query in BY_KEYS:
        yield query, text.by_keys(query, False)
        yield f"{query} locked", text.by_keys(query, True)
    for query in SCANNED:
        yield query, text.scanned(query, True)[0]
    for query in PURGES:
        yield query, text.purge(query)[0]
    for shape in all_shapes():
        if shape.mutable:
            yield f"update {shape.table}", text.write((shape,), ())
    for row in ARCHIVED:
        yield f"leave {row.TABLE}", text.leave(shape_of(row))


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> Iterator[str]:
    """The filled book, and its DSN."""

    def build(dsn: str) -> None:
        upgrade(dsn)
        asyncio.run(fill(dsn, PAYMENTS))

    with postgres.database("filled") as dsn:
        build(dsn)
        yield dsn


@pytest.fixture(params=["as-the-drivers-set-it", "as-it-comes"])
async def planner(filled: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A connection to the filled book."""
    settings = {"plan_cache_mode": "force_generic_plan"}
    if request.param == "as-the-drivers-set-it":
        settings |= {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
    connection = await asyncpg.connect(filled, server_settings=settings)
    yield connection
    await connection.close()


async def test_no_statement_reads_a_big_table(planner: Any) -> None:
    found = {name: scans for name, sql in statements() if (scans := await _scans(planner, sql))}
    assert found == {}


async def test_what_leaves_is_checked_by_indexes(planner: Any) -> None:
    """Each foreign key to a table whose rows leave is looked up by an index: else a deletion reads a table."""
    keys = await planner.fetch(
        "SELECT c.conname, c.conrelid::regclass::text AS child, a.attname FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " WHERE c.contype = 'f' AND c.confrelid::regclass::text = ANY($1::text[])",
        [row.TABLE for row in ARCHIVED],
    )
    assert keys
    for key in keys:
        sql = f"SELECT 1 FROM ONLY {key['child']} x WHERE $1::text = {key['attname']} FOR KEY SHARE OF x"
        if key["child"] in BIG:
            assert not await _scans(planner, sql), key["conname"]
        indexed = "SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indkey[0] = (SELECT attnum"
        indexed += " FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2)"
        assert await planner.fetchval(indexed, key["child"], key["attname"]), key["conname"]


async def _scans(connection: Any, sql: str) -> list[str]:
    """Big tables that the generic plan reads from end to end."""
    await connection.execute(f"PREPARE asked AS {sql}")
    count = len(set(re.findall(r"\$\d+", sql)))
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    (plan,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}"))
    await connection.execute("DEALLOCATE asked")
    return [
        f"{node['Node Type']} {node['Relation Name']}"
        for node in _nodes(plan["Plan"])
        if node.get("Relation Name", "") in BIG and node["Node Type"] in ("Seq Scan", "Parallel Seq Scan")
    ]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)
