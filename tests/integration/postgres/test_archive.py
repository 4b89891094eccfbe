"""Old months leave a book on PostgreSQL beside live traffic, and through kill -9 of whoever moves them."""

import asyncio
import itertools
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.ops.archive import archive, count
from gateway.ops.audit import audit
from gateway.ops.evidence.collect import Bundle, collect
from gateway.ops.whole import WholeBook
from gateway.store.migrations import upgrade
from tests.integration.postgres.load import Load, check_book
from tests.integration.postgres.old_book import OldBook
from tests.stand.postgres import PostgresServer
from tests.stand.stores import TwinStores

pytestmark = pytest.mark.postgres
OLD = 40
SEED = 20261124


@pytest.fixture
def dsn(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database("archive", template=postgres.template("schema-archive", upgrade)) as found:
        yield found


@pytest.fixture
async def gateways(dsn: str, tmp_path: Path) -> AsyncIterator[TwinStores]:
    """Two gateways on a book with old payments."""
    old = OldBook(tmp_path, OLD)
    await old.carry_to(dsn)
    old.house.close()
    found = TwinStores(dsn)
    # Beyond the nonces and arrivals that the old book has seen.
    found.make._counter = itertools.count(10_000)
    for store in (found.one, found.two):
        await store.open()
    try:
        yield found
    finally:
        for store in (found.one, found.two):
            await store.close()


def this_month() -> str:
    return datetime.now(UTC).date().replace(day=1).isoformat()


async def sound(gateways: TwinStores) -> None:
    for full in (False, True):
        report = await audit(gateways.one, gateways.make.env, full=full)
        assert report.ok, f"full={full}\n{report.text()}"


async def left(gateways: TwinStores, table: str = "payments") -> int:
    """Rows of before this month that are in the book."""
    where = f"account_date < '{this_month()}'"
    (row,) = await gateways.sql(f"SELECT count(*) AS n FROM {table} WHERE {where}")
    return int(row["n"])


async def test_a_month_leaves_beside_live_traffic(gateways: TwinStores) -> None:
    await sound(gateways)
    rows = await gateways.sql("SELECT gateway_serial FROM payments ORDER BY gateway_serial LIMIT 1")
    serial = rows[0]["gateway_serial"]

    async def bundle() -> Bundle | None:
        found: Bundle | None = await gateways.one.snapshot(lambda book: collect(WholeBook(book), serial))
        return found

    before = await bundle()
    planned = await count(gateways.two, this_month())
    async with Load(gateways, gateways.one, lanes=4) as load:
        await load.grown(10)
        moved = await archive(gateways.two, this_month(), limit=5)
        await load.grown(10)
    assert (moved.payments, moved.rows) == (planned.payments, planned.rows)
    assert moved.payments == OLD
    assert moved.messages > OLD
    assert await left(gateways) == 0
    assert await left(gateways, "archive_payments") == OLD
    await check_book(gateways, load)
    assert load.doubts == 0
    await sound(gateways)
    assert await bundle() == before
    assert before is not None


RUN = """
import asyncio, sys
from gateway.ops.archive import archive
from tests.stand.stores import TwinStores

async def main():
    gateways = TwinStores(sys.argv[1])
    await gateways.one.open()
    print("open", flush=True)
    await archive(gateways.one, sys.argv[2], limit=1)

asyncio.run(main())
"""


async def test_whoever_moves_them_may_be_killed_at_any_moment(gateways: TwinStores) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    seen = {OLD}
    while await left(gateways):
        await asyncio.to_thread(_run_and_kill, gateways.dsn, chance.uniform(0.1, 0.7))
        seen.add(await left(gateways))
        await sound(gateways)
    assert len(seen) > 2, "it was never killed in the midst"
    await archive(gateways.one, this_month())
    assert await left(gateways, "archive_payments") == OLD
    await sound(gateways)


def _run_and_kill(dsn: str, after_s: float) -> None:
    command: list[Any] = [sys.executable, "-c", RUN, dsn, this_month()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)


async def test_two_at_once_move_each_payment_once(gateways: TwinStores) -> None:
    moved = await asyncio.gather(*(archive(store, this_month(), limit=3) for store in (gateways.one, gateways.two)))
    assert sum(one.payments for one in moved) == OLD
    assert await left(gateways, "archive_payments") == OLD
    await sound(gateways)
