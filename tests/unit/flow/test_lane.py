"""The lane: many calls at once but never too many, one per account, a breaker, and answers that are never dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from contracts import traces
from contracts.biller import PayOrder
from contracts.breaker import BreakerPolicy, BreakerState
from contracts.outcomes import NotSent, Outcome, Unknown
from contracts.sent import SENT
from gateway.core import items
from gateway.flow.lane import Lane
from tests.stand.billers import ACME
from tests.unit.flow.fakes import FakeBiller, FakeBook, Silent, make_parts, order_row

POLICY = BreakerPolicy(failures_to_open=3, cool_down_s=0.2, cool_down_max_s=0.2)


@asynccontextmanager
async def running(book: FakeBook, biller: FakeBiller, *, concurrency: int = 5) -> AsyncIterator[tuple[Lane, Silent]]:
    parts, notes = make_parts(book)
    lane = Lane(biller, replace(ACME, concurrency=concurrency), parts, policy=POLICY)
    lane.start()
    try:
        yield lane, notes
    finally:
        await parts.tasks.close()


def offer(lane: Lane, book: FakeBook, count: int, *, accounts: int | None = None) -> None:
    for number in range(count):
        order = order_row(number, f"{number % (accounts or count):06d}")
        book.orders[order.order_serial] = order
        lane.offer_order(order)


async def until_judged(book: FakeBook, count: int) -> None:
    async with asyncio.timeout(10):
        while len(book.judged) < count:
            await asyncio.sleep(0.005)


async def test_many_at_once_but_never_more_than_the_biller_takes() -> None:
    book, biller = FakeBook(), FakeBiller()
    async with running(book, biller) as (lane, _):
        offer(lane, book, 40)
        await until_judged(book, 40)
    assert biller.most == 4, "one of five is kept for questions"
    assert (lane.in_flight(), lane.depth()) == (0, 0)


async def test_one_call_per_account_in_order_of_offer() -> None:
    book, biller = FakeBook(), FakeBiller()
    async with running(book, biller) as (lane, _):
        offer(lane, book, 12, accounts=2)
        await until_judged(book, 12)
    assert biller.most_of_account == 1
    of_first = [serial for serial in book.claims if int(serial[8:]) % 2 == 0]
    assert of_first == sorted(of_first)


async def test_an_offer_is_taken_once() -> None:
    book, biller = FakeBook(), FakeBiller()
    async with running(book, biller) as (lane, _):
        for _ in range(5):
            offer(lane, book, 1)
        await until_judged(book, 1)
        await asyncio.sleep(0.05)
    assert (book.claims, biller.calls) == ([order_row(0, "000000").order_serial], 1)


async def test_the_breaker_opens_and_a_probe_closes_it() -> None:
    """Three dead calls in a row stop the lane; after the cool-down one probe goes, and its answer opens the road."""
    dead = True

    async def answer(order: PayOrder) -> Outcome:
        return Unknown(cause="reset") if dead else NotSent(cause="busy", resp_code="9004", retry_after_s=60)

    book, biller = FakeBook(), FakeBiller(answer)
    async with running(book, biller, concurrency=1) as (lane, _):
        offer(lane, book, 10)
        await until_judged(book, 3)
        await asyncio.sleep(0.05)
        assert biller.calls == 3
        assert lane.breaker.state(asyncio.get_running_loop().time()) is BreakerState.OPEN
        assert lane.closed_for_s() >= 1
        dead = False
        await until_judged(book, 10)
        assert lane.closed_for_s() == 0


async def test_an_adapter_that_raises_leaves_the_payment_in_doubt() -> None:
    async def answer(order: PayOrder) -> Outcome:
        raise RuntimeError("a bug")

    book, biller = FakeBook(), FakeBiller(answer)
    async with running(book, biller) as (lane, notes):
        offer(lane, book, 1)
        await until_judged(book, 1)
    assert book.judged[0].answer.kind == "Unknown"
    assert "adapter_failed" in notes.heard


async def test_no_call_outlives_its_deadline() -> None:
    async def answer(order: PayOrder) -> Outcome:
        await asyncio.sleep(60)
        raise AssertionError("never")

    book, biller = FakeBook(), FakeBiller(answer)
    async with running(book, biller) as (lane, _):
        offer(lane, book, 1)
        await until_judged(book, 1)
    assert (book.judged[0].answer.kind, biller.running) == ("Unknown", [])


async def test_an_answer_is_saved_however_often_the_book_is_busy() -> None:
    book, biller = FakeBook(), FakeBiller()
    book.busy.extend([items.Judge] * 2)
    async with running(book, biller) as (lane, notes):
        offer(lane, book, 1)
        await until_judged(book, 1)
    assert (biller.calls, len(book.judged), notes.heard.count("save_failed")) == (1, 1, 2)


async def test_a_claim_that_may_not_have_been_committed_is_not_called() -> None:
    """M4: the claim's answer is lost, so nobody calls; recovery asks the biller after the deadline."""
    book, biller = FakeBook(), FakeBiller()
    book.busy.append(items.Claim)
    async with running(book, biller) as (lane, notes):
        offer(lane, book, 1)
        await asyncio.sleep(0.1)
        assert (biller.calls, book.judged, lane.in_flight(), lane.depth()) == (0, [], 0, 0)
    assert "claim_failed" in notes.heard


async def test_draining_takes_no_new_call_and_lets_running_ones_end() -> None:
    book, biller = FakeBook(), FakeBiller()
    async with running(book, biller, concurrency=3) as (lane, _):
        offer(lane, book, 10)
        while len(biller.running) < 2:
            await asyncio.sleep(0.001)
        lane.pause()
        await asyncio.sleep(0.1)
        assert (biller.running, len(book.judged)) == ([], biller.calls)
        assert biller.calls < 10


async def test_a_breaker_that_moves_is_told() -> None:
    async def answer(order: PayOrder) -> Outcome:
        return Unknown(cause="reset")

    book, biller = FakeBook(), FakeBiller(answer)
    async with running(book, biller, concurrency=1) as (lane, notes):
        offer(lane, book, 3)
        await until_judged(book, 3)
    assert notes.heard.count("breaker_moved") == 1


async def test_a_call_carries_its_own_trace_context() -> None:
    """W3C traceparent: the payment's trace, the attempt's span; calls at once do not see each other's."""
    seen: dict[str, str | None] = {}

    async def look(order: PayOrder) -> Outcome:
        await asyncio.sleep(0.005)
        seen[order.gateway_serial] = traces.CURRENT.get()
        return Unknown(cause="cut")

    book = FakeBook()
    async with running(book, FakeBiller(look)) as (lane, _):
        offer(lane, book, 3)
        await until_judged(book, 3)
    spans = {traces.traceparent("0" * 32, judged.attempt_id or "") for judged in book.judged}
    assert set(seen.values()) == spans
    assert len(spans) == 3
    assert traces.CURRENT.get() is None


async def test_m11_each_call_keeps_what_it_sent_whatever_became_of_it() -> None:
    """M11: also of a call that never answered, or whose adapter failed; never what another sent."""

    async def answer(order: PayOrder) -> Outcome:
        kept = SENT.get()
        assert kept is not None
        kept.append(order.partner_serial.encode())
        await asyncio.sleep(0.01)
        if order.biller_account == "000001":
            raise ValueError("a bug")
        if order.biller_account == "000002":
            await asyncio.sleep(60)
        return Unknown(cause="reset")

    book, biller = FakeBook(), FakeBiller(answer)
    async with running(book, biller) as (lane, _):
        offer(lane, book, 4)
        await until_judged(book, 4)
    assert {judged.order_serial: judged.sent for judged in book.judged} == {
        serial: (serial.encode(),) for serial in book.claims
    }
    assert SENT.get() is None
