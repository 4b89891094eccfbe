"""A COMMIT whose answer nobody got (design s7): cut connections, a killed backend, a killed gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from gateway.core import items, views
from gateway.core.rows import Payment
from gateway.store.port import StoreBusy, StoreError
from tests.integration.interleavings.conftest import Gateways
from tests.stand.stores import need

pytestmark = pytest.mark.postgres

# A check that is put off until COMMIT, and waits there for whoever holds the lock of this number.
SLOW_COMMIT = """
CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON payments DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
"""
COMMITTING = "FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event_type = 'Lock'"


@asynccontextmanager
async def commits_held(gateways: Gateways) -> AsyncIterator[Any]:
    """Every COMMIT that brings a payment has been sent and is not done, until the end or the next statement."""
    holder = await asyncpg.connect(gateways.dsn)
    try:
        await holder.execute(SLOW_COMMIT)
        await holder.execute("SELECT pg_advisory_lock(7)")
        yield holder
    finally:
        await holder.close()


async def committing(gateways: Gateways) -> None:
    """Wait until one gateway is in the middle of its COMMIT."""
    async with asyncio.timeout(10):
        while not (await gateways.sql(f"SELECT count(*) {COMMITTING}"))[0][0]:
            await asyncio.sleep(0.01)


async def once(gateways: Gateways, count: int) -> None:
    """So many payments are in the book, each with all its rows once."""
    for table in ("payments", "orders", "outbox", "records", "idempotency_keys", "nonces"):
        assert (await gateways.sql(f"SELECT count(*) FROM {table}"))[0][0] == count, table
    assert (await gateways.sql("SELECT count(*) FROM transactions WHERE recipe = 'R01'"))[0][0] == count


async def test_a_gateway_killed_in_its_commit_has_paid(gateways: Gateways) -> None:
    """kill -9 between COMMIT and its answer: the server goes on. The shop asks another gateway with its key."""
    make = gateways.make
    item = make.accept(1)
    async with commits_held(gateways) as holder:
        asked = asyncio.ensure_future(gateways.two.run(item))
        await committing(gateways)
        await gateways.two.kill()
        with pytest.raises(StoreBusy) as told:
            await asked
        assert told.value.in_doubt
        await holder.execute("SELECT pg_advisory_unlock(7)")
        again = replace(item, arrival=make.arrival(1))
        found = need(await gateways.one.run(again), items.Taken)
    assert found.replayed
    assert found.payment.trace_id == item.arrival.trace_id
    assert (await gateways.sql("SELECT count(*) FROM payments"))[0][0] == 1
    assert (await gateways.sql("SELECT available_fen FROM station_balances ORDER BY 1"))[0][0] == 1_000_000 - 10_100


async def test_a_gateway_killed_in_its_commit_has_not_paid(gateways: Gateways) -> None:
    """The same, but the server too gives up: whoever waits on the key takes it then."""
    make = gateways.make
    item = make.accept(1)
    async with commits_held(gateways) as holder:
        asked = asyncio.ensure_future(gateways.two.run(item))
        await committing(gateways)
        await gateways.two.kill()
        with pytest.raises(StoreBusy):
            await asked
        again = replace(item, arrival=make.arrival(1))
        waiting = asyncio.ensure_future(gateways.one.run(again))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "the key is held by a commit that may still be"
        await gateways.sql(f"SELECT pg_terminate_backend(pid) {COMMITTING}")
        await holder.execute("SELECT pg_advisory_unlock(7)")
        found = need(await waiting, items.Taken)
    assert not found.replayed
    await once(gateways, 1)


async def test_a_backend_killed_in_its_commit(gateways: Gateways) -> None:
    """The gateway lives, and does again what it cannot know to be done."""
    item = gateways.make.accept(1)
    async with commits_held(gateways) as holder:
        asked = asyncio.ensure_future(gateways.two.run(item))
        await committing(gateways)
        await gateways.sql(f"SELECT pg_terminate_backend(pid) {COMMITTING}")
        await holder.execute("SELECT pg_advisory_unlock(7)")
        assert not need(await asked, items.Taken).replayed
    await once(gateways, 1)


async def test_connections_are_cut_again_and_again(gateways: Gateways) -> None:
    """Under load through both gateways; what is told is in the book once."""
    make = gateways.make
    asked = [make.accept(1, amount_fen=100, biller_account=f"{92_000 + n}") for n in range(120)]

    async def cut() -> None:
        for _ in range(25):
            await gateways.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.02)

    async def until_told(number: int, item: items.Accept) -> Any:
        while True:
            try:
                return await gateways.both[number % 2].run(item)
            except StoreError:
                await asyncio.sleep(0.02)

    cutting = asyncio.ensure_future(cut())
    replies = await asyncio.gather(*(until_told(number, item) for number, item in enumerate(asked)))
    await cutting
    payments: list[Payment] = [need(reply, items.Taken).payment for reply in replies]
    assert len({payment.gateway_serial for payment in payments}) == len(asked)
    await once(gateways, len(asked))
    seen = need(await gateways.two.look(views.PeekPayment(gateway_serial=payments[0].gateway_serial)), items.Taken)
    assert seen.payment == payments[0]
