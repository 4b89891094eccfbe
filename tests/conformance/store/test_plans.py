"""No query of the catalogue reads a whole table that grows, on either engine."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.store.postgres import text as postgres_text
from gateway.store.queries import BY_KEYS, PURGES, SCANNED
from gateway.store.shapes import all_shapes
from gateway.store.sqlite import text as sqlite_text
from gateway.store.sqlite.connection import open_writer
from tests.conformance.store.conftest import PostgresBook

# As many rows as there are stations, days, prices, people or processes; read whole by intent.
SMALL = {"stations", "seals", "days", "allowances", "staff"}
# Partial: it holds only the orders that are in flight.
IN_FLIGHT = "uq_orders_in_flight"
TABLES = {shape.table for shape in all_shapes()}


def _parameters(sql: str) -> dict[str, Any]:
    return dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", sql))


@pytest.mark.parametrize("query", [*BY_KEYS, *SCANNED, *PURGES])
def test_sqlite_searches_by_an_index(sqlite_file: Path, query: str) -> None:
    connection = open_writer(sqlite_file)
    try:
        if query in BY_KEYS:
            sql = sqlite_text.by_keys(query, 4)
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * 4 * len(BY_KEYS[query].on)).fetchall()
        else:
            sql = sqlite_text.scanned(query) if query in SCANNED else PURGES[query]
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", _parameters(sql)).fetchall()
    finally:
        connection.close()
    steps = [row[3] for row in plan]
    names = dict(re.findall(r"\b(?:FROM|JOIN) (\w+) (\w+)\b", sql))
    aliases = {alias: table for table, alias in names.items()} | {table: table for table in TABLES}
    scans = [
        step
        for step in steps
        if (found := re.match(r"SCAN (\w+)", step))
        and aliases.get(found[1], found[1]) in TABLES - SMALL
        # An index that holds only the rows that are asked for, in their order.
        and not re.search(rf"USING (?:COVERING )?INDEX (?:ix_|{IN_FLIGHT})", step)
    ]
    assert not scans, "\n".join(steps)
    assert not [step for step in steps if "AUTOMATIC" in step]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        # The one entry at the end of an index: how max() is found.
        if plan["Node Type"] != "Limit" or inner["Node Type"] != "Index Only Scan":
            yield from _nodes(inner)


@pytest.mark.postgres
async def test_postgresql_searches_by_an_index(postgres_book: PostgresBook) -> None:
    connection = await asyncpg.connect(
        postgres_book.url, server_settings=dict(postgres_book.config.server_settings("test"))
    )
    found = {}
    try:
        for query in BY_KEYS:
            on = () if BY_KEYS[query].sql else BY_KEYS[query].on
            found[query] = await _plan(connection, postgres_text.by_keys(query, False), on)
            found[f"{query} locked"] = await _plan(connection, postgres_text.by_keys(query, True), on)
        for query in SCANNED:
            found[query] = await _plan(connection, postgres_text.scanned(query, False)[0])
        for query in PURGES:
            found[query] = await _plan(connection, postgres_text.purge(query)[0])
    finally:
        await connection.close()
    assert {query: scans for query, scans in found.items() if scans} == {}


async def _plan(connection: Any, sql: str, on: Sequence[str] = ()) -> list[str]:
    """What a generic plan on empty tables reads without a condition on an index, or with one that lacks a key."""
    await connection.execute(f"PREPARE asked AS {sql}")
    count = len(set(re.findall(r"\$\d+", sql)))
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    (plan,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked{values}"))
    await connection.execute("DEALLOCATE asked")
    return [
        f"{node['Node Type']} {node['Relation Name']} {node.get('Index Name', '')}"
        for node in _nodes(plan["Plan"])
        if node.get("Relation Name", "") in TABLES - (set() if on else SMALL)
        and node["Node Type"] != "ModifyTable"
        and not _searches(node, on)
    ]


def _searches(node: dict[str, Any], on: Sequence[str]) -> bool:
    """Whether an index is asked for every key, or, by a scan, for something or for all that a partial one holds."""
    condition = str(node.get("Recheck Cond") or node.get("Index Cond") or "")
    if on:
        return all(name in condition for name in on)
    return bool(condition) or str(node.get("Index Name", "")).startswith(("ix_", IN_FLIGHT))
