"""Two gateways on one PostgreSQL database, the second in a process of its own, and short ways to ask them things."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway.core.env import Env
from gateway.store.migrations import upgrade
from tests.integration.interleavings.frames import Plan, Worker
from tests.integration.interleavings.remote import Processes, Remote
from tests.stand.postgres import PostgresServer
from tests.stand.stores import Stores

_numbers = itertools.count(1)


class Gateways(Stores):
    """Store `one` is here, `two` is another process: nothing shared but the database."""

    def __init__(self, dsn: str, processes: Processes, env: Env | None = None, worker: Worker | None = None) -> None:
        super().__init__(dsn, env)
        self.two = Remote(processes, Plan(config=self.config, env=self.make.env, worker=worker))
        self.both: tuple[Any, Any] = (self.one, self.two)


@asynccontextmanager
async def opened(
    dsn: str, processes: Processes, env: Env | None = None, worker: Worker | None = None
) -> AsyncIterator[Gateways]:
    """Two gateways on a book with two stations. worker: the second one also calls billers."""
    found = Gateways(dsn, processes, env, worker)
    async with AsyncExitStack() as stack:
        # A process takes its time to start: it does so while the other founds the book.
        stack.push_async_callback(found.two.close)
        starting = asyncio.ensure_future(found.two.open())
        await found.one.open()
        stack.push_async_callback(found.one.close)
        await asyncio.gather(starting, found.found())
        yield found


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Processes for gateways; none outlives the tests."""
    found = Processes()
    yield found
    found.close()


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database with tables, for one test."""
    template = await asyncio.to_thread(postgres.template, "interleavings", upgrade)
    name = f"interleaving_{next(_numbers)}"
    dsn = await asyncio.to_thread(postgres.create_database, name, template)
    yield dsn
    await asyncio.to_thread(postgres.drop_database, name)


@pytest.fixture
async def gateways(database: str, processes: Processes) -> AsyncIterator[Gateways]:
    """Two gateways that sell what the house sells."""
    async with opened(database, processes) as found:
        yield found
