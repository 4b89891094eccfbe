"""A server dies under load, a stand-by takes over or the server comes back: nothing acknowledged is lost (M4)."""

import asyncio
import os
import signal

import pytest

from gateway.core import items
from gateway.ops.audit import audit
from gateway.store.port import StoreBusy, StoreRefused
from gateway.store.postgres.store import PostgresStore
from tests.integration.postgres.conftest import BOOK, Cluster, serving
from tests.integration.postgres.load import Load, check_book, within
from tests.stand.postgres import PostgresServer
from tests.stand.standby import StandbyServer, follows, run_rewind
from tests.stand.stores import need

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
GROWN = 60


async def kept_timeline(server: PostgresServer) -> str:
    return await asyncio.to_thread(server.run_sql, "SELECT value FROM settings WHERE name = 'timeline'", BOOK)


async def count(server: PostgresServer) -> str:
    return await asyncio.to_thread(server.run_sql, "SELECT count(*) FROM payments", BOOK)


async def test_the_stand_by_has_every_payment_that_was_acknowledged(cluster: Cluster) -> None:
    first, second = cluster.first, cluster.second
    async with serving(first, standby_hosts=cluster.standbys) as gateways:
        async with Load(gateways, gateways.one) as load:
            await load.grown(GROWN)
            await asyncio.to_thread(first.kill)
            await within(30, lambda: _has_doubts(load))
            await asyncio.to_thread(second.promote)
            await load.grown(GROWN)
        gateways.dsn = second.dsn(BOOK)
        await check_book(gateways, load)
        assert (await audit(gateways.one, gateways.make.env)).ok
        await _old_primary_is_not_written(cluster, gateways, load)


async def _has_doubts(load: Load) -> bool:
    return load.busy > 0


async def _old_primary_is_not_written(cluster: Cluster, gateways: object, load: Load) -> None:
    """It comes back and accepts writes. Whoever saw the new one writes there, also a gateway that starts now."""
    first, second = cluster.first, cluster.second
    store: PostgresStore = gateways.one  # type: ignore[attr-defined]
    make = gateways.make  # type: ignore[attr-defined]
    await asyncio.to_thread(first.restart)
    before = await count(first)
    assert int(before) < len(load.told)
    fresh = gateways.store(standby_hosts=cluster.standbys)  # type: ignore[attr-defined]
    await fresh.open()
    assert await kept_timeline(second) == "2"
    try:
        await asyncio.to_thread(
            second.run_sql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'bianmin-%'",
        )
        for number, gateway in enumerate((store, fresh)):
            need(await gateway.run(make.accept(biller_account=f"{90_000 + number}", amount_fen=100)), items.Taken)
        assert await count(first) == before
        await asyncio.to_thread(second.kill)
        # The new primary is gone and only the old one answers: who has seen the new one refuses it …
        refused = make.accept(biller_account="90002", amount_fen=100)
        with pytest.raises(StoreBusy, match="old primary"):
            await fresh.run(refused)
    finally:
        await fresh.close()
    # … and who has not is never told that a payment was taken: no stand-by confirms it.
    blind = gateways.store(standby_hosts=cluster.standbys, statement_ms=500)  # type: ignore[attr-defined]
    await blind.open()
    try:
        with pytest.raises(StoreBusy):
            await blind.run(make.accept(biller_account="90003", amount_fen=100))
    finally:
        await blind.close()
    await asyncio.to_thread(second.restart)
    await asyncio.to_thread(_rejoin, first, second)


def _rejoin(first: PostgresServer, second: StandbyServer) -> None:
    """What the operator does: stop the old primary, rewind it, let it follow the new one."""
    first.halt()
    run_rewind(first, second)
    first.settings["primary_conninfo"] = f"host=127.0.0.1 port={second.port} user=postgres application_name=first"
    first.run_program(["touch", str(first.data / "standby.signal")])
    first.start()
    while not follows(second, "first", "async"):
        pass
    assert first.run_sql("SELECT count(*) FROM payments WHERE biller_account = '90003'", BOOK) == "0"


async def test_a_promotion_without_synchronous_replication_stops_the_house() -> None:
    """No stand-by is configured as one that holds every commit, so what the promoted server has proves nothing."""
    with PostgresServer(durable=True) as first, StandbyServer(first, "second") as second:
        hosts = tuple(f"127.0.0.1:{server.port}" for server in (first, second))
        async with serving(first, hosts=hosts) as gateways:
            need(await gateways.one.run(gateways.make.accept(biller_account="90001", amount_fen=100)), items.Taken)
            await asyncio.to_thread(_caught_up, first)
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(second.promote)
            with pytest.raises(StoreBusy, match="db restored"):
                await gateways.one.run(gateways.make.accept(biller_account="90002", amount_fen=100))
            with pytest.raises(StoreRefused, match="db restored"):
                await gateways.store(hosts=hosts).open()
            assert await count(second) == "1"


def _caught_up(server: PostgresServer) -> None:
    sql = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
    while server.run_sql(sql) != "1":
        pass


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.soak)])
async def test_an_immediate_shutdown_and_restart_under_load(rounds: int) -> None:
    with PostgresServer(durable=True) as server:
        async with serving(server) as gateways:
            async with Load(gateways, gateways.one) as load:
                for _ in range(rounds):
                    await load.grown(GROWN)
                    os.kill(server.pid, signal.SIGQUIT)
                    await within(30, lambda: _has_doubts(load))
                    await asyncio.to_thread(server.restart)
                await load.grown(GROWN)
            await check_book(gateways, load)
            assert load.busy
            assert (await audit(gateways.one, gateways.make.env)).ok


@pytest.mark.soak
@pytest.mark.parametrize("number", range(10))
async def test_fail_over_again_and_again(cluster: Cluster, number: int) -> None:
    """Each time at another moment of the load."""
    async with serving(cluster.first, standby_hosts=cluster.standbys) as gateways:
        async with Load(gateways, gateways.one, lanes=16) as load:
            await load.grown(GROWN + 17 * number)
            await asyncio.to_thread(cluster.first.kill)
            await asyncio.to_thread(cluster.second.promote)
            await load.grown(GROWN)
        gateways.dsn = cluster.second.dsn(BOOK)
        await check_book(gateways, load)
        assert (await audit(gateways.one, gateways.make.env)).ok
