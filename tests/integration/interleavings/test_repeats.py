"""M7 between two gateways: whatever each has read, two open payments of one account and amount know of each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any

import asyncpg
import pytest

from contracts.states import HOLDING, State
from gateway.core import items, rows
from tests.integration.interleavings.conftest import Gateways
from tests.stand.stores import need

pytestmark = pytest.mark.postgres

NAP_S = 0.3
OF: dict[str, Any] = {"biller_account": "10001", "amount_fen": 10_000}


@asynccontextmanager
async def numbers_held(gateways: Gateways) -> AsyncIterator[None]:
    """Nobody gets a partner's number: a gateway that needs its first stops after its reads and before its writes."""
    holder = await asyncpg.connect(gateways.dsn)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE partner_counters IN EXCLUSIVE MODE")
            yield
    finally:
        await holder.close()


async def first_number(gateways: Gateways) -> None:
    """Gateway one has a block of numbers in memory; gateway two has none."""
    need(await gateways.one.run(gateways.make.accept(1, biller_account="99999")), items.Taken)


async def token(gateways: Gateways, station: int) -> str:
    """What a station is told to confirm with."""
    refusal = need(await gateways.one.run(gateways.make.accept(station, **OF)), items.Refusal)
    assert refusal.slug == "repeat-in-doubt"
    return need(refusal.repeat_token, str)


async def settle(gateways: Gateways, payment: rows.Payment) -> None:
    """Gateway one calls, and the biller says that it is paid."""
    claim = gateways.make.claim(await gateways.order(payment))
    granted = need(await gateways.one.run(claim), items.Granted)
    paid = gateways.make.reply_of(granted, "Paid", paid_fen=payment.amount_fen, biller_serial="B")
    assert need(await gateways.one.run(paid), items.Judged).effect == "SENT->SUCCESS"


async def strangers(gateways: Gateways) -> list[tuple[str, str]]:
    """Pairs that are open at once though neither was confirmed beside the other."""
    found = await gateways.sql(
        "SELECT gateway_serial, state, confirmed_beside FROM payments WHERE biller_account = $1", OF["biller_account"]
    )
    open_ = {serial: beside or "" for serial, state, beside in found if State(state) in HOLDING}
    return [(a, b) for a, b in combinations(sorted(open_), 2) if a not in open_[b] and b not in open_[a]]


async def test_m7_two_confirmations_of_one_set_at_once(gateways: Gateways) -> None:
    """Both have read before either commits. The second is judged against the first, and told of it."""
    make = gateways.make
    await first_number(gateways)
    first = need(await gateways.one.run(make.accept(1, **OF)), items.Taken).payment
    mine, theirs = await token(gateways, 1), await token(gateways, 2)
    async with numbers_held(gateways):
        second = asyncio.ensure_future(gateways.two.run(make.accept(2, confirm_repeat=theirs, **OF)))
        await asyncio.sleep(NAP_S)
        third = asyncio.ensure_future(gateways.one.run(make.accept(1, confirm_repeat=mine, **OF)))
        await asyncio.sleep(NAP_S)
        assert not second.done()
    taken = need(await second, items.Taken).payment
    assert taken.confirmed_beside == first.gateway_serial
    refused = need(await third, items.Refusal)
    assert refused.slug == "repeat-in-doubt"
    assert refused.repeat_token not in (mine, theirs, None)
    again = make.accept(1, confirm_repeat=refused.repeat_token, **OF)
    beside = need(await gateways.two.run(again), items.Taken).payment.confirmed_beside
    assert beside == f"{first.gateway_serial},{taken.gateway_serial}"
    assert await strangers(gateways) == []


async def test_m7_one_station_confirms_once_through_two_gateways(gateways: Gateways) -> None:
    """The same token at the same moment with two keys, again and again: one payment each time."""
    make = gateways.make
    for number in range(10):
        of: dict[str, Any] = {"biller_account": f"{20_000 + number}", "amount_fen": 1_000}
        need(await gateways.one.run(make.accept(1, **of)), items.Taken)
        given = need(await gateways.two.run(make.accept(1, **of)), items.Refusal).repeat_token
        replies = await asyncio.gather(
            *(store.run(make.accept(1, confirm_repeat=given, **of)) for store in gateways.both)
        )
        slugs = sorted(reply.slug if isinstance(reply, items.Refusal) else "taken" for reply in replies)
        assert slugs == ["repeat-in-doubt", "taken"]


async def test_m7_a_payment_does_not_end_under_its_confirmation(gateways: Gateways) -> None:
    """While one confirms beside it, the open payment ends elsewhere; a third station must not slip in between."""
    make = gateways.make
    await first_number(gateways)
    first = need(await gateways.one.run(make.accept(1, **OF)), items.Taken).payment
    theirs = await token(gateways, 2)
    async with numbers_held(gateways):
        second = asyncio.ensure_future(gateways.two.run(make.accept(2, confirm_repeat=theirs, **OF)))
        await asyncio.sleep(NAP_S)
        ending = asyncio.ensure_future(settle(gateways, first))
        await asyncio.sleep(NAP_S)
        third = await gateways.one.run(make.accept(1, **OF))
    need(await second, items.Taken)
    await ending
    assert need(third, items.Refusal).slug == "repeat-in-doubt"
    assert await strangers(gateways) == []


async def test_m7_a_confirmation_of_what_has_ended_meanwhile(gateways: Gateways) -> None:
    """It waits for whoever ends the payment, then there is nothing to confirm any more."""
    make = gateways.make
    payment = need(await gateways.one.run(make.accept(1, **OF)), items.Taken).payment
    mine = await token(gateways, 1)
    ender = await asyncpg.connect(gateways.dsn)
    try:
        async with ender.transaction():
            await ender.execute("UPDATE payments SET state = 'FAILED', version = version + 1")
            waiting = asyncio.ensure_future(gateways.two.run(make.accept(1, confirm_repeat=mine, **OF)))
            await asyncio.sleep(NAP_S)
            assert not waiting.done()
    finally:
        await ender.close()
    refused = need(await waiting, items.Refusal)
    assert (refused.slug, refused.repeat_token) == ("repeat-in-doubt", None)
    assert payment.confirmed_beside is None


async def test_m7_an_ordinary_payment_that_read_long_ago(gateways: Gateways) -> None:
    """It saw nothing open. Before it writes, one was taken, another confirmed beside it, and the first has ended: the
    index has room again, the confirmed one is open."""
    make = gateways.make
    await first_number(gateways)
    async with numbers_held(gateways):
        late = asyncio.ensure_future(gateways.two.run(make.accept(2, **OF)))
        await asyncio.sleep(NAP_S)
        first = need(await gateways.one.run(make.accept(1, **OF)), items.Taken).payment
        beside = make.accept(1, confirm_repeat=await token(gateways, 1), **OF)
        need(await gateways.one.run(beside), items.Taken)
        await settle(gateways, first)
        assert not late.done()
    refused = need(await late, items.Refusal)
    assert refused.slug == "repeat-in-doubt"
    assert await strangers(gateways) == []
