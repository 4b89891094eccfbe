"""A gateway that lives on while its PostgreSQL is replaced by an older copy: it must not go on with it (M4)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.core import items
from gateway.core.restored import BeginRestore, EndRestore
from gateway.store.port import StoreError
from tests.integration.postgres.conftest import BOOK, serving
from tests.integration.postgres.stand import BaseBackup
from tests.stand.postgres import PostgresServer
from tests.stand.standby import StandbyServer, follows
from tests.stand.stores import TwinStores, need

pytestmark = pytest.mark.postgres
PATIENCE_S = 20.0


async def _refused(act: Callable[[], Awaitable[Any]]) -> str:
    """The reason of the refusal that stays; what merely is not there yet is asked again."""
    until = time.monotonic() + PATIENCE_S
    while True:
        with pytest.raises(StoreError) as told:
            await act()
        why = told.value.cause
        if "db restored" in why or "start it anew" in why:
            return why
        assert time.monotonic() < until, why
        await asyncio.sleep(0.2)


async def _cut(gateways: TwinStores) -> None:
    """End the connections of the store that lives on."""
    await gateways.sql(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY{gateways.one.backends()}::int[]) AS pid")


@contextlib.asynccontextmanager
async def _claimed() -> AsyncIterator[tuple[PostgresServer, TwinStores, Any, BaseBackup]]:
    """A payment that was called after the backup."""
    with PostgresServer(durable=True) as server:
        async with serving(server) as gateways:
            paid = need(await gateways.one.run(gateways.make.accept(biller_account="90001")), items.Taken).payment
            claim = items.Claim(
                gateway_serial=paid.gateway_serial, order_serial=paid.gateway_serial, worker="w", entropy=1
            )
            with await asyncio.to_thread(BaseBackup, server) as backup:
                need(await gateways.one.run(claim), items.Granted)
                yield server, gateways, claim, backup


async def test_an_older_copy_on_the_same_port_is_not_served() -> None:
    """The order that the lost book had called would be called again."""
    async with _claimed() as (server, gateways, claim, backup):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(backup.restore)
        assert "lacks what was acknowledged" in await _refused(lambda: gateways.one.run(claim))
        assert gateways.one.lost() is not None
        # Who has nothing to miss in the copy is kept from it all the same.
        late = gateways.store()
        with pytest.raises(StoreError, match="not yet made safe"):
            await late.open()
        await late.close()


async def test_a_kill_that_loses_nothing_is_no_restore() -> None:
    async with _claimed() as (server, gateways, claim, _):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        replies: list[Any] = []
        async with asyncio.timeout(PATIENCE_S):
            while not replies:
                with contextlib.suppress(StoreError):
                    replies.append(await gateways.one.run(claim))
                await asyncio.sleep(0.2)
        assert isinstance(replies[0], items.NotNow)
        assert gateways.one.lost() is None


async def test_who_had_the_book_open_before_a_restore_begins_anew(postgres_dsn: str) -> None:
    """Its connections broke, and the restore was made safe meanwhile: what it holds in memory is of the lost book."""
    from gateway.store.migrations import upgrade

    await asyncio.to_thread(upgrade, postgres_dsn)
    gateways = TwinStores(postgres_dsn)
    safe = gateways.store()
    await gateways.one.open()
    await safe.open()
    try:
        await gateways.found()
        accept = gateways.make.accept(biller_account="90001")
        open_ = need(await gateways.one.run(accept), items.Taken).payment
        need(await safe.run(BeginRestore(entropy=1)), items.Kept)
        claim = items.Claim(
            gateway_serial=open_.gateway_serial, order_serial=open_.gateway_serial, worker="w", entropy=1
        )
        refused = need(await gateways.one.run(claim), items.NotNow)
        assert (refused.gone, refused.cause) == (False, "the book is closed")
        await _cut(gateways)
        assert "not yet made safe" in await _refused(lambda: gateways.one.run(accept))
        assert gateways.one.lost() is None
        need(await safe.run(EndRestore()), items.Kept)
        await _cut(gateways)
        assert "start it anew" in await _refused(lambda: gateways.one.run(accept))
        assert gateways.one.lost() is not None
    finally:
        await safe.close()
        await gateways.one.close()
    fresh = gateways.store()
    await fresh.open()
    try:
        # What was signed before the restore stays refused.
        assert isinstance(await fresh.run(accept), items.Refusal)
    finally:
        await fresh.close()


async def test_a_stand_by_that_had_fallen_behind_is_not_served() -> None:
    """It confirmed nothing for a while, as a cascade may; promoted, it lacks a payment that was acknowledged."""
    with ExitStack() as stack:
        first = stack.enter_context(PostgresServer(durable=True, settings={"wal_keep_size": "128MB"}))
        second = stack.enter_context(StandbyServer(first, "second"))
        third = stack.enter_context(StandbyServer(second, "third"))
        for server, names in ((first, "second"), (third, "nobody")):
            server.run_sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            server.run_sql("SELECT pg_reload_conf()")
        while not follows(first, "second", "sync"):
            pass
        hosts = tuple(f"127.0.0.1:{server.port}" for server in (second, third))
        async with serving(first, standby_hosts=hosts) as gateways:
            need(await gateways.one.run(gateways.make.accept(biller_account="90001")), items.Taken)
            while int(third.run_sql("SELECT count(*) FROM payments", BOOK)) < 1:
                await asyncio.sleep(0.1)
            third.run_sql("ALTER SYSTEM SET primary_conninfo = ''")
            third.run_sql("SELECT pg_reload_conf()")
            while third.run_sql("SELECT count(*) FROM pg_stat_wal_receiver") != "0":
                await asyncio.sleep(0.1)
            need(await gateways.one.run(gateways.make.accept(biller_account="90002")), items.Taken)
            await asyncio.to_thread(first.kill)
            await asyncio.to_thread(second.kill)
            await asyncio.to_thread(third.promote)
            why = await _refused(lambda: gateways.one.run(gateways.make.accept(biller_account="90003")))
            assert "lacks what was acknowledged" in why
            assert third.run_sql("SELECT count(*) FROM payments", BOOK) == "1"
