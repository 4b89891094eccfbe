"""The audit's SQL finds the same on PostgreSQL: the story's book, carried over row by row."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from gateway.core.env import Env
from gateway.ops.audit import Report, audit
from gateway.ops.evidence.collect import collect
from gateway.store.migrations.upgrade import upgrade
from gateway.store.port import Snapshot
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.snapshot import take_snapshot
from gateway.store.shapes import all_shapes
from tests.integration.ops.story import Story
from tests.integration.ops.test_audit import BY_STAFF
from tests.stand.postgres import PostgresServer

pytestmark = pytest.mark.postgres


class Carried:
    """The story's book on PostgreSQL."""

    def __init__(self, config: PostgresConfig, env: Env, now: int, serials: dict[str, str]) -> None:
        self.config, self.env, self.now, self.serials = config, env, now, serials

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[Any]]) -> Any:
        return await take_snapshot(self.config, use)

    async def audit(self) -> Report:
        return await audit(self, self.env, at_ms=self.now)


@pytest.fixture
def dsn(postgres: PostgresServer) -> Iterator[str]:
    """An empty book; made outside of any event loop, because migrations run one of their own."""
    with postgres.database("audit", template=postgres.template("schema-audit", upgrade)) as found:
        yield found


@pytest.fixture
async def carried(dsn: str, tmp_path: Path) -> AsyncIterator[tuple[Carried, Any]]:
    story = Story(tmp_path)
    connection = await asyncpg.connect(dsn)
    for shape in all_shapes():
        rows = story.house.sql(f"SELECT {', '.join(shape.names)} FROM {shape.table}")
        marks = ", ".join(f"${at}" for at in range(1, len(shape.names) + 1))
        sql = f"INSERT INTO {shape.table} ({', '.join(shape.names)}) VALUES ({marks})"
        await connection.executemany(sql, rows)
    story.house.close()
    url = make_url(dsn)
    config = PostgresConfig(
        hosts=(f"{url.host}:{url.port}",),
        database=str(url.database),
        user=str(url.username),
        password=str(url.password) if url.password else None,
    )
    yield Carried(config, story.house.env, story.house.now, story.names()), connection
    await connection.close()


async def test_the_same_book_is_sound(carried: tuple[Carried, Any]) -> None:
    book, _ = carried
    report = await book.audit()
    assert report.ok, report.text()
    assert all(check.rows or check.name in BY_STAFF for check in report.checks), report.text()


async def test_faults_of_every_part_are_seen(carried: tuple[Carried, Any]) -> None:
    book, connection = carried
    success, reserved = book.serials["success"], book.serials["reserved"]
    for statement in (
        "ALTER TABLE transactions DISABLE TRIGGER USER",
        "ALTER TABLE records DISABLE TRIGGER USER",
        "ALTER TABLE idempotency_keys DISABLE TRIGGER USER",
        "UPDATE transactions SET posting_date = '2027-01-01' WHERE recipe = 'R05'",
        "UPDATE station_balances SET available_fen = available_fen - 1, receivable_fen = receivable_fen + 1",
        f"UPDATE orders SET state = 'UNKNOWN', attempts = 7 WHERE gateway_serial = '{success}'",
        f"DELETE FROM idempotency_keys WHERE gateway_serial = '{reserved}'",
        "DELETE FROM outbox WHERE topic LIKE '%.result'",
        "UPDATE records SET body = 'x'::bytea WHERE position = 2",
        "DELETE FROM seals",
    ):
        await connection.execute(statement)
    report = await book.audit()
    assert set(report.failed()) == {
        "dates",
        "running-balance",
        "receivable",
        "state-against-orders",
        "orders-against-attempts",
        "one-key-one-effect",
        "outbox",
        "leaves",
        "seals",
    }, report.text()


async def test_evidence_is_collected(carried: tuple[Carried, Any]) -> None:
    book, _ = carried
    bundle = await book.snapshot(lambda snapshot: collect(snapshot, book.serials["success"]))
    assert len(bundle.places) == 1
    assert bundle.places[0].seal is not None
    assert bundle.about["orders"][0]["state"] == "DONE"
