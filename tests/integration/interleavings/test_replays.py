"""Replays of two gateways at once on one PostgreSQL: a letter is kept once, an item done once, a payment sent once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from contracts.strict_json import canonical
from gateway.core import items
from gateway.core.letters import FoundLetter, JudgeLetters, KeepLetters, LettersJudged
from gateway.core.messages import request
from gateway.core.replays import (
    SCHEMA,
    KeepPlan,
    PlanFile,
    Replayed,
    ReplayLetters,
    SpreadPlan,
    plan_item,
    totals_of,
)
from gateway.core.rows import Order, Payment
from tests.integration.interleavings.test_hands import Twins
from tests.stand.stores import need

pytestmark = pytest.mark.postgres
ROUNDS = 8


@pytest.fixture
async def gateways(database: str) -> AsyncIterator[Twins]:
    found = Twins(database)
    await found.one.open()
    await found.two.open()
    await found.found()
    await found.one.run(found.bureau.first_staff())
    yield found
    await found.one.close()
    await found.two.close()


async def accepted(twins: Twins, count: int) -> list[tuple[Payment, Order]]:
    make, found = twins.make, []
    for number in range(count):
        taken = need(await twins.one.run(make.accept(biller_account=f"1{number:04d}", amount_fen=1_000)), items.Taken)
        found.append((taken.payment, await twins.order(taken.payment)))
    return found


def letters_about(twins: Twins, found: Sequence[tuple[Payment, Order]], prefix: str = "o") -> list[FoundLetter]:
    return [
        FoundLetter(
            origin=f"{prefix}-{number}", topic="bianmin.request.acme", key="k", reason="replayed",
            body=request(order, payment, f"m-{number}", twins.make.now, twins.make.env).payload,
        )
        for number, (payment, order) in enumerate(found)
    ]  # fmt: skip


async def running(twins: Twins) -> tuple[str, str]:
    """A plan of all letters, approved and begun: its hash, and the record of the deed."""
    judged = need(await twins.one.look(JudgeLetters()), LettersJudged)
    letters = [plan_item(one) for one in judged.letters]
    body = canonical(PlanFile(schema=SCHEMA, book_at=judged.now, filter={}, letters=letters, totals=totals_of(letters)))
    digest = hashlib.sha256(body).hexdigest()
    need(await twins.one.run(KeepPlan(body=body)), items.Kept)
    while need(await twins.two.run(SpreadPlan(plan_sha256=digest, limit=7)), items.Kept).count:
        pass
    fen = str(sum(one.amount_fen for one in letters))
    plan = await twins.do(twins.bureau.clerk, "replay.run", digest, items=str(len(letters)), amount_fen=fen)
    await twins.do(twins.bureau.chief, "ops.approve", str(plan.waits))
    return digest, (await twins.do(twins.bureau.clerk, "replay.start", digest)).state


async def requests_of(twins: Twins, order: Order) -> int:
    sql = "SELECT payload FROM outbox WHERE topic LIKE '%.request.%'"
    told = [msgspec.json.decode(row[0]) for row in await twins.sql(sql)]
    return sum(one["order_serial"] == order.order_serial for one in told)


async def test_both_keep_the_same_letters_and_the_book_has_each_once(gateways: Twins) -> None:
    letters = letters_about(gateways, await accepted(gateways, 6))
    asked = [
        store.run(KeepLetters(letters=letters[at:] + letters[:at], entropy=number))
        for number, (store, at) in enumerate((store, at) for at in range(6) for store in (gateways.one, gateways.two))
    ]
    replies = [need(one, items.Kept) for one in await asyncio.gather(*asked)]
    assert sum(one.count for one in replies) == len(letters)
    assert [tuple(row) for row in await gateways.sql("SELECT count(*), count(DISTINCT origin) FROM dead_letters")] == [
        (len(letters), len(letters))
    ]


async def test_an_item_is_done_once_whoever_asks_for_it(gateways: Twins) -> None:
    found = await accepted(gateways, 5)
    await gateways.one.run(KeepLetters(letters=letters_about(gateways, found), entropy=1))
    digest, record = await running(gateways)
    asked = [
        store.run(ReplayLetters(plan_sha256=digest, run_record=record, numbers=[n, n % 5 + 1], entropy=n))
        for n in range(1, 6)
        for store in (gateways.one, gateways.two)
    ]
    replies: list[Any] = list(await asyncio.gather(*asked))
    steps = [step.number for one in replies if isinstance(one, Replayed) for step in one.steps]
    assert sorted(steps) == [1, 2, 3, 4, 5]
    assert [await requests_of(gateways, order) for _, order in found] == [2] * 5
    assert [tuple(row) for row in await gateways.sql("SELECT state, done FROM replay_plans")] == [("DONE", 5)]


async def test_m4_a_replay_and_a_claim_at_once_send_once(gateways: Twins) -> None:
    """Whoever commits first: the order is claimed once, and the replay has woken a worker or was skipped."""
    found = await accepted(gateways, ROUNDS)
    await gateways.one.run(KeepLetters(letters=letters_about(gateways, found), entropy=1))
    digest, record = await running(gateways)
    ends = set()
    for number in range(1, ROUNDS + 1):
        replay = ReplayLetters(plan_sha256=digest, run_record=record, numbers=[number], entropy=number)
        ((letter,),) = [
            tuple(row) for row in await gateways.sql("SELECT order_serial FROM dead_letters ORDER BY letter_id")
        ][number - 1 : number]
        order = next(order for _, order in found if order.order_serial == letter)
        claims = [gateways.make.claim(order) for _ in range(2)]
        done, *replies = await asyncio.gather(
            gateways.one.run(replay), gateways.two.run(claims[0]), gateways.one.run(claims[1])
        )
        (step,) = need(done, Replayed).steps
        assert sum(isinstance(one, items.Granted) for one in replies) == 1
        assert (step.verdict_now, step.outcome) in {("SEND_AGAIN", "sent-again"), ("ASK_ONLY", "skipped")}
        assert await requests_of(gateways, order) == (2 if step.outcome == "sent-again" else 1)
        ends.add(step.outcome)
    assert {tuple(row) for row in await gateways.sql("SELECT attempts FROM orders")} == {(1,)}


async def test_m5_a_replay_and_a_late_notice_at_once(gateways: Twins) -> None:
    """The notice decides; the replay has asked for a question, or found it final."""
    make = gateways.make
    found = await accepted(gateways, ROUNDS)
    for _, order in found:
        granted = need(await gateways.one.run(make.claim(order)), items.Granted)
        need(await gateways.one.run(make.reply_of(granted, "Unknown")), items.Judged)
    await gateways.one.run(KeepLetters(letters=letters_about(gateways, found), entropy=1))
    digest, record = await running(gateways)
    serials = [row[0] for row in await gateways.sql("SELECT gateway_serial FROM dead_letters ORDER BY letter_id")]
    for number, serial in enumerate(serials, 1):
        payment, order = next(one for one in found if one[0].gateway_serial == serial)
        paid = make.evidence(
            order, "Paid", source="notice", paid_fen=payment.amount_fen, biller_serial=f"B{payment.gateway_serial}"
        )
        replay = ReplayLetters(plan_sha256=digest, run_record=record, numbers=[number], entropy=number)
        done, judged = await asyncio.gather(gateways.one.run(replay), gateways.two.run(paid))
        (step,) = need(done, Replayed).steps
        assert (step.verdict_now, step.outcome) in {("ASK_ONLY", "asked"), ("ALREADY_FINAL", "skipped")}
        assert need(judged, items.Judged).effect == "UNKNOWN->SUCCESS"
    assert {tuple(row) for row in await gateways.sql("SELECT state, ask_at FROM orders")} == {("DONE", None)}
    assert {tuple(row) for row in await gateways.sql("SELECT state FROM payments")} == {("SUCCESS",)}
