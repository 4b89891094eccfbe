"""Clusters of the tests about fail-over: a primary, its synchronous stand-by, and one that follows the stand-by."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.store.migrations import upgrade
from tests.stand.postgres import PostgresServer
from tests.stand.standby import StandbyServer, follows
from tests.stand.stores import TwinStores

BOOK = "book"


@dataclass(frozen=True, slots=True)
class Cluster:
    """second waits for third as soon as it is promoted: nothing has to be changed at a fail-over."""

    first: PostgresServer
    second: StandbyServer
    third: StandbyServer

    @property
    def standbys(self) -> tuple[str, ...]:
        return tuple(f"127.0.0.1:{server.port}" for server in (self.second, self.third))


@asynccontextmanager
async def serving(server: PostgresServer, **changes: Any) -> AsyncIterator[TwinStores]:
    """A filled book on this server, and one gateway open on it (`one`)."""
    await asyncio.to_thread(lambda: upgrade(server.create_database(BOOK)))
    gateways = TwinStores(server.dsn(BOOK))
    gateways.one = gateways.store(connect_ms=1_000, statement_ms=2_000, **changes)
    await gateways.one.open()
    try:
        await gateways.found()
        yield gateways
    finally:
        await gateways.one.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three servers with fsync on; the first waits for the second."""
    with ExitStack() as stack:
        # pg_rewind reads the log back to the checkpoint before the fork.
        first = stack.enter_context(PostgresServer(durable=True, settings={"wal_keep_size": "128MB"}))
        second = stack.enter_context(StandbyServer(first, "second", settings={"synchronous_standby_names": "third"}))
        third = stack.enter_context(StandbyServer(second, "third"))
        first.run_sql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        first.run_sql("SELECT pg_reload_conf()")
        # For a later restart, which writes the settings anew.
        first.settings["synchronous_standby_names"] = "second"
        while not follows(first, "second", "sync"):
            pass
        yield Cluster(first, second, third)
