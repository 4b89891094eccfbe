"""Payments that keep coming while servers die, each asked for again with the same bytes until it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from gateway.core import items
from gateway.store.port import Store, StoreBusy
from tests.stand.stores import TwinStores

FEN = 100


class Load:
    """told: by key, the serial of every payment that a reply promised. doubts: how many asks were left in doubt."""

    def __init__(self, gateways: TwinStores, store: Store, *, lanes: int = 8) -> None:
        self._gateways, self._store, self._lanes = gateways, store, lanes
        self.told: dict[str, str] = {}
        self.doubts = self.busy = 0
        self._stop = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._lane(lane)) for lane in range(self._lanes)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)

    async def grown(self, by: int, within_s: float = 60.0) -> None:
        """Until so many more payments were promised."""
        goal = len(self.told) + by
        async with asyncio.timeout(within_s):
            while len(self.told) < goal:
                await asyncio.sleep(0.02)

    async def _lane(self, lane: int) -> None:
        number = 0
        while not self._stop:
            number += 1
            item = self._gateways.make.accept(
                1 + lane % 2,
                key=f"load-{lane:02d}-{number:09d}",
                biller_account=f"{100_000 + lane * 10_000 + number}",
                amount_fen=FEN,
            )
            reply = await self._until_answered(item)
            if reply is not None:
                assert isinstance(reply, items.Taken), reply
                self.told[item.key] = reply.payment.gateway_serial

    async def _until_answered(self, item: Any) -> Any:
        """None where the load ends first."""
        while not self._stop:
            try:
                return await self._store.run(item)
            except StoreBusy as busy:
                self.doubts += busy.in_doubt
                self.busy += 1
                await asyncio.sleep(0.05)
        return None


async def within(seconds: float, what: Callable[[], Awaitable[bool]]) -> None:
    """Until it is so."""
    async with asyncio.timeout(seconds):
        while not await what():
            await asyncio.sleep(0.05)


async def check_book(gateways: TwinStores, load: Load) -> None:
    """Every promise is kept once: each key its payment, as told; nothing twice."""
    rows = await gateways.sql(
        "SELECT idempotency_key, gateway_serial FROM payments WHERE idempotency_key LIKE 'load-%'"
    )
    found = {row["idempotency_key"]: row["gateway_serial"] for row in rows}
    assert len(found) == len(rows), "a key has two payments"
    assert {key: found.get(key) for key in load.told} == load.told
