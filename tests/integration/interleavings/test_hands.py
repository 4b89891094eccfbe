"""Hands of two gateways at once on one PostgreSQL: rulings against evidence, permissions, pauses (M5, M12, PAY-03)."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from gateway.core import items
from gateway.core.allowances import CALLS, QUESTIONS, Dealt, Holding, Renew
from gateway.core.attachments import KeepAttachment
from gateway.core.env import Env
from gateway.core.items_deeds import Acted
from gateway.ops.roles import load_rights
from tests.stand.billers import ACME, METERS
from tests.stand.bureau import Bureau, Person
from tests.stand.house import code
from tests.stand.stores import TwinStores, need

pytestmark = pytest.mark.postgres
ROUNDS = 8
LETTER = b"a letter of the biller"
NAMED = f"{hashlib.sha256(LETTER).hexdigest()}:{len(LETTER)}"


class Twins(TwinStores):
    """Two gateways that know one bureau."""

    def __init__(self, dsn: str) -> None:
        self.bureau = Bureau(lambda: int(time.time() * 1000))
        env = Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"acme": ACME, "meters": METERS}, rights=load_rights())
        super().__init__(dsn, self.bureau.known_to(env))

    async def do(self, who: Person, action: str, subject: str, *, store: Any = None, **fields: str) -> Acted:
        return need(await (store or self.one).run(self.bureau.act(who, action, subject, **fields)), Acted)


@pytest.fixture
async def twins(database: str) -> AsyncIterator[Twins]:
    found = Twins(database)
    await found.one.open()
    await found.two.open()
    await found.found()
    await found.one.run(found.bureau.first_staff())
    yield found
    await found.one.close()
    await found.two.close()


async def test_m5_a_ruling_and_the_biller_at_once_end_in_one_of_two_ways(twins: Twins) -> None:
    """Who commits first decides; the other is refused, or kept as a contradiction. Never both, never neither."""
    make, ends = twins.make, set()
    for number in range(ROUNDS):
        payment = need(await twins.one.run(make.accept(biller_account=f"1{number:04d}")), items.Taken).payment
        granted = need(await twins.one.run(make.claim(await twins.order(payment))), items.Granted)
        need(await twins.one.run(make.reply_of(granted, "Unknown")), items.Judged)
        await twins.sql("UPDATE payments SET in_doubt_since = in_doubt_since - 90000000 WHERE state = 'UNKNOWN'")
        serial = payment.gateway_serial
        need(await twins.one.run(KeepAttachment(name="letter", body=LETTER)), items.Kept)
        fields = {"verdict": "not-paid", "state": "UNKNOWN", "attachments": NAMED}
        plan = await twins.do(twins.bureau.clerk, "payment.rule", serial, **fields)
        approve = twins.bureau.act(twins.bureau.chief, "ops.approve", str(plan.waits))
        late = make.evidence(await twins.order(payment), "Paid", paid_fen=payment.amount_fen, biller_serial="B")
        ruled, judged = await asyncio.gather(twins.one.run(approve), twins.two.run(late))
        ((state, ruling),) = await twins.sql("SELECT state, ruling FROM payments WHERE gateway_serial = $1", serial)
        breaks = await twins.sql("SELECT code FROM breaks WHERE gateway_serial = $1", serial)
        recipes = await twins.sql("SELECT recipe FROM transactions WHERE gateway_serial = $1", serial)
        told = (state, isinstance(ruled, Acted), judged.effect, [row[0] for row in breaks], ruling is not None)
        assert told in (
            ("FAILED", True, "break", ["RULING_CONTRADICTED"], True),
            ("SUCCESS", False, "UNKNOWN->SUCCESS", [], False),
        )
        assert sorted(row[0] for row in recipes) == ["R01", "R03" if state == "FAILED" else "R05"]
        ends.add(state)
    assert ends <= {"FAILED", "SUCCESS"}


async def test_one_permission_and_two_cancels_at_once(twins: Twins) -> None:
    """They take turns at their station's balance; what is used by the first is not there for the second."""
    make = twins.make
    await twins.sql("UPDATE tariffs SET cancel_needs_authorization = 1")
    for number in range(ROUNDS):
        fields: dict[str, Any] = {"biller_account": f"2{number:04d}", "amount_fen": 10_000}
        pair = []
        for _ in range(2):
            payment = need(await twins.one.run(make.accept(**fields)), items.Taken).payment
            granted = need(await twins.one.run(make.claim(await twins.order(payment))), items.Granted)
            paid = make.reply_of(granted, "Paid", paid_fen=10_000, biller_serial=payment.gateway_serial)
            need(await twins.one.run(paid), items.Judged)
            pair.append(payment)
        given = await twins.do(
            twins.bureau.clerk, "authorization.issue", code(1), kind="cancel", service="acme.bill",
            account=fields["biller_account"], amount_fen="10000", date=_today(),
        )  # fmt: skip
        asked = [
            make.keyed(items.Cancel, gateway_serial=one.gateway_serial, reason="r", authorization=given.state)
            for one in pair
        ]
        replies = await asyncio.gather(twins.one.run(asked[0]), twins.two.run(asked[1]))
        assert sorted(type(reply).__name__ for reply in replies) == ["Refusal", "Taken"], replies
        (refusal,) = [reply for reply in replies if isinstance(reply, items.Refusal)]
        assert refusal.slug == "authorization-required"


async def test_a_permission_is_used_or_revoked_never_both(twins: Twins) -> None:
    """Both have read it unused and wait for its row: the guarded update sends the second back."""
    make = twins.make
    await twins.sql("UPDATE tariffs SET max_fen = 5000")
    for number in range(4):
        account = f"5{number:04d}"
        given = await twins.do(
            twins.bureau.clerk, "authorization.issue", code(1), kind="over-limit", service="acme.bill",
            account=account, amount_fen="10000", date=_today(),
        )  # fmt: skip
        revoke = twins.bureau.act(twins.bureau.chief, "authorization.revoke", given.state)
        pay = make.accept(biller_account=account, amount_fen=10_000)
        holder = await asyncpg.connect(twins.dsn)
        try:
            async with holder.transaction():
                await holder.fetch("SELECT * FROM authorizations WHERE authorization_id = $1 FOR UPDATE", given.state)
                both = [asyncio.ensure_future(twins.one.run(pay)), asyncio.ensure_future(twins.two.run(revoke))]
                await asyncio.sleep(0.3)
                assert not any(one.done() for one in both)
            paid, revoked = await asyncio.gather(*both)
        finally:
            await holder.close()
        ((used_by, revoked_by),) = await twins.sql(
            "SELECT used_by, revoked_by FROM authorizations WHERE authorization_id = $1", given.state
        )
        won = (isinstance(paid, items.Taken), isinstance(revoked, Acted))
        assert won in ((True, False), (False, True)), (paid, revoked)
        assert (used_by is not None, revoked_by is not None) == won


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))


async def test_one_over_limit_permission_and_two_payments_at_once(twins: Twins) -> None:
    make = twins.make
    await twins.sql("UPDATE tariffs SET max_fen = 5000")
    for number in range(ROUNDS):
        account = f"3{number:04d}"
        await twins.do(
            twins.bureau.clerk, "authorization.issue", code(1), kind="over-limit", service="acme.bill",
            account=account, amount_fen="10000", date=_today(),
        )  # fmt: skip
        fields: dict[str, Any] = {"biller_account": account, "amount_fen": 10_000}
        replies = await asyncio.gather(*(store.run(make.accept(**fields)) for store in (twins.one, twins.two)))
        assert sorted(type(reply).__name__ for reply in replies) == ["Refusal", "Taken"], replies
        again = need(await twins.two.run(make.accept(**fields)), items.Refusal)
        assert again.slug == "amount-out-of-range"
    ((used,),) = await twins.sql("SELECT count(DISTINCT used_by) FROM authorizations")
    assert used == ROUNDS


async def test_a_pause_by_one_gateway_is_obeyed_by_the_other_at_once(twins: Twins) -> None:
    make, clerk = twins.make, twins.bureau.clerk
    waiting = need(await twins.two.run(make.accept(biller_account="4001")), items.Taken).payment
    await twins.do(clerk, "biller.pause", "acme", shop_text="检修")
    refused = need(await twins.two.run(make.accept(biller_account="4002")), items.Refusal)
    assert (refused.slug, refused.shop_text) == ("biller-closed", "检修")
    claim = make.claim(await twins.order(waiting))
    assert need(await twins.two.run(claim), items.NotNow).cause == "paused"
    await twins.do(clerk, "biller.resume", "acme", store=twins.two)
    need(await twins.one.run(make.claim(await twins.order(waiting))), items.Granted)
    await twins.do(clerk, "biller.limits", "acme", concurrency="4", rate_per_s="40", store=twins.two)
    holdings = [Holding(biller="acme", share=name, concurrency=0, rate_per_s=0) for name in (CALLS, QUESTIONS)]
    dealt = need(await twins.one.run(Renew(worker="w", holdings=holdings)), Dealt)
    # One call is in flight of a process that holds nothing: it counts.
    assert [(one.concurrency, one.rate_per_s) for one in dealt.grants] == [(2, 36), (1, 4)]
    await twins.do(clerk, "drain.begin", "*")
    assert need(await twins.two.run(make.accept(biller_account="4002")), items.Refusal).slug == "biller-closed"
