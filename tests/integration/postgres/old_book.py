"""A book with payments of two months ago, as the house on SQLite makes it, carried over to PostgreSQL."""

import time
from pathlib import Path
from typing import Any

import asyncpg

from gateway.core import items, rows
from gateway.store.shapes import all_shapes
from tests.stand.house import House

DAY_MS = 86_400_000
OLD_DAYS = 70


class OldBook:
    """`count` final payments of two days long ago, one of this day; published and sealed. payments: the old ones."""

    def __init__(self, folder: Path, count: int) -> None:
        today = int(time.time() * 1000)
        prices = {"effective_from": "2020-01-01"}
        begun = today - OLD_DAYS * DAY_MS
        house = House(folder, prices=prices, deposit_fen=10_000_000, durable=False, now=begun)
        self.house = house
        self.payments: list[rows.Payment] = []
        for number in range(count):
            if number == count // 2:
                self._rest()
                house.now += DAY_MS
            self.payments.append(house.settle(house.pay(1 + number % 2, biller_account=f"{50_000 + number}")))
        self._rest()
        house.now = today
        house.settle(house.pay(biller_account="59999"))
        self._rest()

    def _rest(self) -> None:
        ids = [m.message_id for m in self.house.ask(items.TakeOutbox(older_than_ms=0), items.Outbox).messages]
        self.house.ask(items.MarkPublished(message_ids=ids), items.Kept)
        self.house.seal()

    async def carry_to(self, dsn: str) -> None:
        """Every row into an empty database of the same schema."""
        connection: Any = await asyncpg.connect(dsn)
        try:
            for shape in all_shapes():
                names = ", ".join(shape.names)
                found = self.house.sql(f"SELECT {names} FROM {shape.table}")
                marks = ", ".join(f"${at}" for at in range(1, len(shape.names) + 1))
                await connection.executemany(f"INSERT INTO {shape.table} ({names}) VALUES ({marks})", found)
        finally:
            await connection.close()
