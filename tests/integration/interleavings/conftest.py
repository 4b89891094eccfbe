"""Two gateways on one PostgreSQL database, the second in a process of its own, and short ways to ask them things."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from gateway.core import items, rows
from gateway.core.env import Env
from gateway.store.migrations import upgrade
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from tests.integration.interleavings.frames import Plan, Worker
from tests.integration.interleavings.remote import Processes, Remote
from tests.stand.billers import ACME, METERS
from tests.stand.house import UNITS_OF_THE_HOUSE, YEAR_MS, House, code, keyid
from tests.stand.postgres import PostgresServer

_numbers = itertools.count(1)
T = TypeVar("T")


class Asker(House):
    """The house's ways of making items, by the real clock and without a book of its own."""

    def __init__(self, env: Env | None = None) -> None:
        self.env = env or Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"acme": ACME, "meters": METERS})
        self.random = random.Random(7)
        self._counter = itertools.count(1)
        self.now = int(time.time() * 1000)


class Gateways:
    """Store `one` is here, `two` is another process: nothing shared but the database."""

    def __init__(self, dsn: str, processes: Processes, env: Env | None = None, worker: Worker | None = None) -> None:
        self.dsn, self.make = dsn, Asker(env)
        host, _, name = dsn.rpartition("@")[2].partition("/")
        self.config = PostgresConfig(hosts=(host,), database=name, user="postgres", connections=2, readers=1)
        self.one = PostgresStore(self.config, UNITS_OF_THE_HOUSE, self.make.env)
        self.two = Remote(processes, Plan(config=self.config, env=self.make.env, worker=worker))
        self.both: tuple[Any, Any] = (self.one, self.two)

    async def found(self) -> None:
        """Prices, two stations, their money."""
        make = self.make
        for service in make.env.billers:
            price = items.SetPrices(
                version="V1", service=service, effective_from="2026-01-01", fee_fen=100, min_fen=100,
                max_fen=5_000_000, rate_ppm=15_000,
            )  # fmt: skip
            await self.one.run(price)
        for number in (1, 2):
            await self.one.run(
                items.AddStation(
                    institution_code=code(number), name="站", terminal_id="T1", operator_id="1", operator_name="张三",
                    certificate_der=b"der", keyid=keyid(number), public_key_sha256=keyid(number),
                    not_before=make.now - 86_400_000, not_after=make.now + YEAR_MS, services=list(make.env.billers),
                    trained_until=make.now + YEAR_MS,
                )
            )  # fmt: skip
            await self.one.run(
                items.Deposit(
                    institution_code=code(number), amount_fen=1_000_000, voucher_number=f"V{number}", outlet="370001",
                    taken_by="0001", entropy=number,
                )
            )  # fmt: skip

    async def sql(self, text: str, *values: Any) -> list[Any]:
        """Plain SQL past both gateways."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(text, *values))
        finally:
            await connection.close()

    async def order(self, payment: rows.Payment) -> rows.Order:
        """The payment's first order."""
        columns = ", ".join(rows.Order.__struct_fields__)
        (row,) = await self.sql(f"SELECT {columns} FROM orders WHERE order_serial = $1", payment.gateway_serial)
        return rows.Order(**{name: row[name] for name in rows.Order.__struct_fields__})


def need(reply: Any, kind: type[T]) -> T:
    """The reply, of this kind."""
    assert isinstance(reply, kind), reply
    return reply


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
