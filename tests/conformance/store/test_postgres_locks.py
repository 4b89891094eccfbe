"""What gateways that wait for each other, or do not, may cost and may not do."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.store.port import LostRace, StoreBusy
from tests.conformance.store import toys
from tests.conformance.store.conftest import PostgresBook
from tests.conformance.store.toys import serial

pytestmark = pytest.mark.postgres

LOCK_MS = 400
LOCKED, FREE = range(30), range(30, 40)


def sent(number: int) -> Any:
    """An item that moves payment `number` on."""
    before = toys.payment(pay(number), toys.MS)
    return toys.change(before, msgspec.structs.replace(before, state="SENT", version=2))


def pay(number: int) -> toys.Pay:
    """A payment of an account of its own."""
    return toys.Pay(arrival_id=f"a{number}", key=f"k{number}", serial=serial(number), account=f"A{number}")


async def test_thirty_items_behind_one_lock_wait_once(postgres_book: PostgresBook) -> None:
    """A row that somebody else holds costs its items one wait, not one each, and their neighbours no answer."""
    holder = await asyncpg.connect(postgres_book.url)
    loop = asyncio.get_running_loop()
    try:
        async with postgres_book.open(lock_ms=LOCK_MS, connections=1) as store:
            for number in (*LOCKED, *FREE):
                await store.run(toys.insert(toys.payment(pay(number), toys.MS)))
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute(f"SELECT 1 FROM payments WHERE gateway_serial < '{serial(FREE[0])}' FOR UPDATE")
            began = loop.time()
            held = [asyncio.ensure_future(store.run(sent(number))) for number in LOCKED]
            free = [asyncio.ensure_future(store.run(sent(number))) for number in FREE]
            assert all(isinstance(reply, toys.Done) for reply in await asyncio.gather(*free))
            replies = await asyncio.gather(*held, return_exceptions=True)
            # One by one each would wait as long as the batch did: twelve seconds.
            assert loop.time() - began < len(LOCKED) * LOCK_MS / 1000 / 2
            assert all(isinstance(reply, StoreBusy) and not reply.in_doubt for reply in replies)
            await transaction.rollback()
            assert isinstance(await store.run(sent(0)), toys.Done)
    finally:
        await holder.close()


async def test_the_wait_is_as_configured_again_afterwards(postgres_book: PostgresBook) -> None:
    """The short wait belongs to its transaction, not to the connection."""
    holder = await asyncpg.connect(postgres_book.url)
    try:
        async with postgres_book.open(lock_ms=5_000, connections=1) as store:
            for number in range(2):
                await store.run(toys.insert(toys.payment(pay(number), toys.MS)))
            # The first is taken alone; the others are a batch that meets an index, so each is done alone; two commit.
            fresh = [toys.insert(toys.payment(pay(number), toys.MS)) for number in (1, 1, 2, 3)]
            replies = await asyncio.gather(*map(store.run, fresh), return_exceptions=True)
            assert [isinstance(reply, LostRace) for reply in replies] == [True, True, False, False]
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT 1 FROM payments FOR UPDATE")
            waiting = asyncio.ensure_future(store.run(sent(0)))
            await asyncio.sleep(1.6)
            assert not waiting.done()
            await transaction.rollback()
            assert isinstance(await waiting, toys.Done)
    finally:
        await holder.close()


async def test_an_unconfirmed_payment_is_refused_beside_a_confirmed_one(postgres_book: PostgresBook) -> None:
    """M7: the index has room for it, the trigger has not; whoever decides on a fresh look never gets so far."""
    there = toys.payment(pay(1), toys.MS)
    async with postgres_book.open() as store:
        await store.run(toys.insert(msgspec.structs.replace(there, confirmed_repeat=True)))
        late = msgspec.structs.replace(toys.payment(pay(2), toys.MS), biller_account=there.biller_account)
        with pytest.raises(LostRace, match="of this account and amount is open"):
            await store.run(toys.insert(late))
        for changes in ({"confirmed_repeat": True}, {"amount_fen": 7}, {"kind": "REFUND"}, {"state": "FAILED"}):
            number = 3 + len(await postgres_book.sql("SELECT 1 FROM payments"))
            other = toys.payment(pay(number), toys.MS)
            given = {"biller_account": there.biller_account, **changes}
            await store.run(toys.insert(msgspec.structs.replace(other, **given)))
