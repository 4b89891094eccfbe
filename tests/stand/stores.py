"""Stores of one PostgreSQL database, and short ways to ask them things."""

import itertools
import random
import time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg

from gateway.core import items, rows
from gateway.core.env import Env
from gateway.ops.roles import load_rights
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from tests.stand.billers import ACME, METERS
from tests.stand.house import UNITS_OF_THE_HOUSE, YEAR_MS, House, code, keyid

T = TypeVar("T")


class Asker(House):
    """The house's ways of making items, by the real clock and without a book of its own."""

    def __init__(self, env: Env | None = None) -> None:
        self.env = env or Env(
            zone=ZoneInfo("Asia/Shanghai"), manifests={"acme": ACME, "meters": METERS}, rights=load_rights()
        )
        self.random = random.Random(7)
        self._counter = itertools.count(1)
        self.now = int(time.time() * 1000)


class Stores:
    """Store `one`, and as many more on the same database as are asked for: pools of their own, nothing else shared."""

    def __init__(self, dsn: str, env: Env | None = None) -> None:
        self.dsn, self.make = dsn, Asker(env)
        host, _, name = dsn.rpartition("@")[2].partition("/")
        self.config = PostgresConfig(hosts=(host,), database=name, user="postgres", connections=2, readers=1)
        self.one = self.store()

    def store(self, **changes: Any) -> PostgresStore:
        """One more gateway's store."""
        values = {name: getattr(self.config, name) for name in PostgresConfig.__struct_fields__}
        return PostgresStore(PostgresConfig(**(values | changes)), UNITS_OF_THE_HOUSE, self.make.env)

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
        """Plain SQL past every store."""
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


class TwinStores(Stores):
    """Stores `one` and `two` of two gateways in this process."""

    def __init__(self, dsn: str, env: Env | None = None) -> None:
        super().__init__(dsn, env)
        self.two = self.store()


def need(reply: Any, kind: type[T]) -> T:
    """The reply, of this kind."""
    assert isinstance(reply, kind), reply
    return reply
