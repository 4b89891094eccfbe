"""Gateways' stores on one database with two stations."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.store.migrations import upgrade
from tests.stand.stores import TwinStores


@pytest.fixture
async def gateways(postgres_dsn: str) -> AsyncIterator[TwinStores]:
    """A founded book."""
    await asyncio.to_thread(upgrade, postgres_dsn)
    found = TwinStores(postgres_dsn)
    await found.one.open()
    await found.two.open()
    await found.found()
    try:
        yield found
    finally:
        await found.one.close()
        await found.two.close()
