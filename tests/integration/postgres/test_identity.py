"""A book that lies on another cluster than it was written on is a copy, and proves nothing (M4)."""

import asyncio

import pytest

from gateway.store.migrations import upgrade
from gateway.store.port import StoreRefused
from gateway.store.postgres.identity import keep_identity
from gateway.store.postgres.store import PostgresStore
from tests.stand.house import UNITS_OF_THE_HOUSE
from tests.stand.stores import TwinStores

pytestmark = pytest.mark.postgres
STANDBY = ("127.0.0.1:1",)


@pytest.fixture
async def gateways(postgres_dsn: str) -> TwinStores:
    """A book that knows where it is at home."""
    await asyncio.to_thread(upgrade, postgres_dsn)
    found = TwinStores(postgres_dsn)
    await _opens(found.one)
    return found


async def _opens(store: PostgresStore) -> None:
    await store.open()
    await store.close()


MOVED = {
    "another-cluster": "UPDATE settings SET value = value + 1 WHERE name = 'cluster'",
    "promoted": "UPDATE settings SET value = value - 1 WHERE name = 'timeline'",
    "dumped-from-a-later-timeline": "UPDATE settings SET value = value + 1 WHERE name = 'timeline'",
}


@pytest.mark.parametrize("how", MOVED)
async def test_a_book_that_is_not_at_home_is_not_opened(gateways: TwinStores, how: str) -> None:
    await gateways.sql(MOVED[how])
    with pytest.raises(StoreRefused, match="db restored"):
        await _opens(gateways.two)
    safe = PostgresStore(gateways.config, UNITS_OF_THE_HOUSE, gateways.make.env, known=False)
    await safe.open()
    try:
        await keep_identity(await safe._workers[0].open())
    finally:
        await safe.close()
    await _opens(gateways.store())
