"""Allowances and leases on PostgreSQL, with everybody at once: what unit tests do in turn is settled here by locks."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from gateway.core import allowances, items, leases, rows
from gateway.core.allowances import CALLS, Dealt, Holding, Renew, shares_of
from gateway.core.env import Env
from gateway.core.held import RELAY
from gateway.flow import allowances as keeping
from gateway.flow import shares as sharing
from gateway.flow.allowances import Allowances
from gateway.flow.shares import Share, make_shares
from gateway.store.postgres import text
from gateway.store.postgres.store import PostgresStore
from tests.stand.billers import ACME
from tests.stand.stores import TwinStores, need
from tests.unit.flow.fakes import make_parts

pytestmark = pytest.mark.postgres
SMALL = replace(ACME, concurrency=9, rate_per_s=1000)
SIZE = shares_of(SMALL)[CALLS]
WORKERS, ROUNDS, PAYMENTS, RUN_S = 4, 10, 400, 4.0


def holding(concurrency: int = 0, rate_per_s: int = 0) -> Holding:
    return Holding(biller="acme", share=CALLS, concurrency=concurrency, rate_per_s=rate_per_s)


@pytest.fixture
async def stores(gateways: TwinStores) -> AsyncIterator[list[PostgresStore]]:
    """Four processes: what one asks at once is one batch, so several are needed to meet."""
    found = [gateways.store(connections=2) for _ in range(WORKERS)]
    for store in found:
        await store.open()
    yield found
    for store in found:
        await store.close()


async def test_who_come_at_once_do_not_get_it_twice(gateways: TwinStores, stores: list[PostgresStore]) -> None:
    """In the first round nobody has a row yet that could be locked."""
    for number in range(ROUNDS):
        names = [f"w{number}-{n}" for n in range(16)]
        asked = [stores[n % WORKERS].run(Renew(worker=name, holdings=[holding()])) for n, name in enumerate(names)]
        dealt = [need(reply, Dealt).grants[0].concurrency for reply in await asyncio.gather(*asked)]
        assert sum(dealt) <= shares_of(ACME)[CALLS].concurrency
        ((total,),) = await gateways.sql("SELECT sum(concurrency) FROM allowances")
        assert total == sum(dealt)
        gone = [stores[0].run(Renew(worker=name, holdings=[holding()], leaving=True)) for name in names]
        await asyncio.gather(*gone)


async def test_one_of_many_gets_a_lease(gateways: TwinStores, stores: list[PostgresStore]) -> None:
    for number in range(ROUNDS):
        names = [f"w{number}-{n}" for n in range(16)]
        asked = [stores[n % WORKERS].run(leases.HoldLeases(owner=name, names=[RELAY])) for n, name in enumerate(names)]
        held = [held for reply in await asyncio.gather(*asked) for held in need(reply, leases.LeasesHeld).held]
        assert [one.epoch for one in held] == [number + 1]
        await gateways.sql("UPDATE leases SET until = until - 60000")


@asynccontextmanager
async def transaction(dsn: str) -> AsyncIterator[Any]:
    """A connection in the midst of one."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN")
        yield connection
    finally:
        await connection.close()


async def _end(gateways: TwinStores, worker: str) -> None:
    await gateways.sql("UPDATE allowances SET expires_at = expires_at - 60000 WHERE worker = $1", worker)


async def test_what_a_process_in_the_midst_of_a_claim_held_is_not_given_on(gateways: TwinStores) -> None:
    """It may stand still there: nobody waits for it, and nobody counts on what it may be about to use."""
    await gateways.one.run(Renew(worker="a", holdings=[holding()]))
    await _end(gateways, "a")
    async with transaction(gateways.dsn) as claiming:
        await claiming.execute("SELECT 1 FROM allowances WHERE worker = 'a' FOR KEY SHARE")
        for _ in range(2):
            dealt = await gateways.two.run(Renew(worker="b", holdings=[holding()]))
            assert dealt.grants[0].concurrency == 0
        await claiming.execute("COMMIT")
    dealt = await gateways.two.run(Renew(worker="b", holdings=[holding()]))
    assert dealt.grants[0].concurrency == shares_of(ACME)[CALLS].concurrency


async def test_renewals_do_not_wait_for_claims(gateways: TwinStores) -> None:
    """Claims follow one another without a gap; a renewal that waited for them would never come."""
    everything = (await gateways.one.run(Renew(worker="a", holdings=[holding()]))).grants[0]
    async with transaction(gateways.dsn) as claiming:
        # As a claim does it.
        await claiming.fetch(text.by_keys("allowances_held", True), ["acme"], [CALLS], ["a"])
        again = holding(everything.concurrency, everything.rate_per_s)
        async with asyncio.timeout(0.9):  # below the lock time-out
            assert (await gateways.one.run(Renew(worker="a", holdings=[again]))).grants == [everything]


async def test_a_claim_sees_that_its_part_was_given_on_while_it_waited(gateways: TwinStores) -> None:
    await gateways.one.run(Renew(worker="a", holdings=[holding()]))
    payment = need(await gateways.one.run(gateways.make.accept()), items.Taken).payment
    claim = items.Claim(
        gateway_serial=payment.gateway_serial, order_serial=payment.gateway_serial, worker="a", entropy=1, share=CALLS
    )
    async with transaction(gateways.dsn) as dealing:
        await dealing.execute("SELECT 1 FROM allowances WHERE worker = 'a' FOR UPDATE")
        await dealing.execute("UPDATE allowances SET concurrency = 0, rate_per_s = 0 WHERE worker = 'a'")
        claiming = asyncio.ensure_future(gateways.two.run(claim))
        await asyncio.sleep(0.2)
        assert not claiming.done()
        await dealing.execute("COMMIT")
        assert need(await claiming, items.NotNow).cause == "allowance"


@dataclass
class Biller:
    """Counts what runs at once, exactly: from the claim's commit to the end of the call."""

    running: int = 0
    most: int = 0
    calls: int = 0

    def begin(self) -> None:
        self.running += 1
        self.calls += 1
        self.most = max(self.most, self.running)

    def end(self) -> None:
        self.running -= 1


class Worker:
    """Claims and calls with what it is allowed, stands still now and then, and dies at last."""

    def __init__(self, name: str, gateway: PostgresStore, biller: Biller, orders: Iterator[rows.Order]) -> None:
        parts, self.notes = make_parts(gateway)  # type: ignore[arg-type]
        self.parts = replace(parts, store=gateway, worker=name)
        self.share: Share = make_shares(SMALL, parts.clock, questions=False, alone=False)[CALLS]
        self.keeper = Allowances(self.parts, [self.share], lambda _: 0)
        self._gateway, self._biller, self._orders = gateway, biller, orders
        self._chance = random.Random(name)
        self.still = asyncio.Event()
        self.still.set()

    async def live(self) -> None:
        calls: set[asyncio.Task[None]] = set()
        renewed = 0.0
        clock = self.parts.clock
        try:
            while True:
                await self.still.wait()
                if clock.monotonic() - renewed >= keeping.RENEW_S:
                    renewed = clock.monotonic()
                    await self.keeper._try()
                if self.share.try_take(clock.monotonic()):
                    task = asyncio.ensure_future(self._call(self.share.holder))
                    calls.add(task)
                    task.add_done_callback(calls.discard)
                await asyncio.sleep(0.002)
        finally:
            for call in calls:
                call.cancel()

    async def _call(self, holder: str | None) -> None:
        try:
            # Here it may stand still: it has a slot, and the book does not know yet.
            await asyncio.sleep(self._chance.uniform(0, 0.05))
            await self.still.wait()
            order = next(self._orders)
            reply = await self._gateway.run(
                items.Claim(
                    gateway_serial=order.gateway_serial, order_serial=order.order_serial, worker=holder or "?",
                    entropy=self._chance.getrandbits(64), share=CALLS,
                )
            )  # fmt: skip
            if isinstance(reply, items.Granted):
                self._biller.begin()
                await asyncio.sleep(self._chance.uniform(0.02, 0.3))
                self._biller.end()
                await self._gateway.run(_unknown(reply, self._chance.getrandbits(64)))
        finally:
            self.share.release()


def _unknown(granted: items.Granted, entropy: int) -> items.Judge:
    return items.Judge(
        source="reply", entropy=entropy, answer=items.Answer(kind="Unknown", cause="test"),
        gateway_serial=granted.order.gateway_serial, order_serial=granted.order.order_serial,
        attempt_id=granted.attempt_id,
    )  # fmt: skip


@pytest.mark.timeout(60)
async def test_never_more_at_once_whatever_workers_do(gateways: TwinStores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers join, stand still for longer than their allowance, go on, and die with calls under way."""
    monkeypatch.setattr(allowances, "HOLD_MS", 500)
    monkeypatch.setattr(keeping, "START_S", 0.4)
    monkeypatch.setattr(sharing, "START_S", 0.4)
    monkeypatch.setattr(keeping, "RENEW_S", 0.1)
    gateways.make.env = Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"acme": SMALL})
    asked = [gateways.make.accept(1 + n % 2, biller_account=f"50{n:05d}", amount_fen=100) for n in range(PAYMENTS)]
    taken = await asyncio.gather(*(gateways.one.run(item) for item in asked))
    assert all(isinstance(reply, items.Taken) for reply in taken)
    columns = ", ".join(rows.Order.__struct_fields__)
    found = await gateways.sql(f"SELECT {columns} FROM orders ORDER BY order_serial")
    orders = iter([rows.Order(**dict(row)) for row in found])
    biller, chance = Biller(), random.Random(5)
    stores = [gateways.store(connections=2) for _ in range(WORKERS)]  # of the smaller biller
    for store in stores:
        await store.open()
    workers = [Worker(f"w{n}", store, biller, orders) for n, store in enumerate(stores)]
    lives = [asyncio.ensure_future(worker.live()) for worker in workers]
    try:
        begun = asyncio.get_running_loop().time()
        while (passed := asyncio.get_running_loop().time() - begun) < RUN_S:
            if passed > RUN_S / 2 and len(workers) == WORKERS:
                while not workers[-1].share.in_use():
                    await asyncio.sleep(0.001)
                lives[-1].cancel()  # its calls go on at the biller, and nobody hears of their end
                del workers[-1]
            worker = chance.choice(workers)
            worker.still.clear()
            await asyncio.sleep(chance.uniform(0.1, 1.2))
            worker.still.set()
            await asyncio.sleep(chance.uniform(0, 0.3))
            assert biller.most <= SIZE.concurrency
            ((flying,),) = await gateways.sql("SELECT count(*) FROM orders WHERE in_flight = 1")
            assert flying <= SIZE.concurrency
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for store in stores:
            await store.close()
    print(f"{biller.calls} calls, {biller.most} of {SIZE.concurrency} at once at most")
    assert biller.running > 0, "what the dead one left"
    assert biller.most == SIZE.concurrency, "all of it is used"
    names = await gateways.sql("SELECT DISTINCT worker FROM attempts")
    assert any(not row["worker"].endswith(".1") for row in names), "somebody came back under another name"
