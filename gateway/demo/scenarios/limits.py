"""The limits that hold under pressure: the prepaid balance, and the time in which a payment may be sent."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from contracts import api
from contracts.money import Fen
from gateway.demo.expect import Expect
from gateway.demo.stage import CARRIER, FINAL, Row, Scenario, Stage, Title, need, paid, pay_bill, refused
from gateway.demo.system import FEE, QUICK_SERVICE, SMALL
from gateway.terminal import Refused

CALLS, PRICE = 8, Fen(3_000)
LANE = "kd0571-0114"
LANE_BUSY_S = 12


async def overspend(stage: Stage) -> Sequence[Row]:
    """Eight terminals of one shop pay at the same moment; its deposit covers four."""
    await asyncio.wait_for(stage.moments.small_shop.wait(), 30)
    async with AsyncExitStack() as stack:
        names = [f"overspend-{number}" for number in range(CALLS)]
        terminals = [await stack.enter_async_context(stage.terminal(name, SMALL)) for name in names]
        accounts = [f"1380579020{number}" for number in range(CALLS)]
        answers = await asyncio.gather(
            *(
                terminal.pay("mobile.topup", account, PRICE, params=CARRIER)
                for terminal, account in zip(terminals, accounts, strict=True)
            )
        )
        taken = [answer for answer in answers if isinstance(answer, api.Payment)]
        for answer in answers:
            if isinstance(answer, Refused):
                refused(answer, "insufficient-balance")
        cost = PRICE.value + FEE.value
        covered = SMALL.deposit.value // cost
        need(len(taken) == covered, f"{len(taken)} of {CALLS} payments were taken, {covered} are covered")
        done = [await stage.until(terminals[0], payment.gateway_serial, FINAL) for payment in taken]
        balance = await terminals[0].balance()
    need(isinstance(balance, api.AccountBalance), f"no balance but {balance}")
    assert isinstance(balance, api.AccountBalance)
    left = SMALL.deposit.value - covered * cost
    found = (balance.available_fen, balance.reserved_fen)
    need(found == (left, 0), f"available and reserved are {found}, must be {(left, 0)}")
    expect = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=PRICE.value,
        tries=("Accepted",),
        charged_fen=PRICE.value,
    )
    rows = [await stage.judge(payment, expect, shop=SMALL) for payment in done]
    first, spent = rows[0], sum(row.spent_fen for row in rows)
    note = f"{covered}/{CALLS}"
    return [
        Row(
            gateway_serial=first.gateway_serial,
            states=first.states,
            evidence=first.evidence,
            shop=SMALL.code,
            spent_fen=spent,
            note=note,
        )
    ]


async def expired(stage: Stage) -> Sequence[Row]:
    """Two bills of one account: the platform takes its time over the first, so the second waits its turn until it may
    not be sent any more. A clock may end what is proven unsent."""
    async with stage.terminal("expired") as terminal:
        slow = paid(await pay_bill(stage, terminal, QUICK_SERVICE, LANE))
        late = paid(await pay_bill(stage, terminal, QUICK_SERVICE, LANE, Fen(2_000)))
        late = await stage.until(terminal, late.gateway_serial, FINAL)
        need("超时未发出" in late.shop_text, f"the shop was told {late.shop_text}")
        slow = await stage.until(terminal, slow.gateway_serial, FINAL)
    unsent = Expect(
        states=("RESERVED", "FAILED"),
        evidence="clock",
        paid_fen=None,
        tries=(),
        charged_fen=None,
        reason="expired-unsent",
    )
    first = Expect(
        states=("RESERVED", "SENT", "SUCCESS"), evidence="reply", paid_fen=3664, tries=("Paid",), charged_fen=3664
    )
    row = await stage.judge(late, unsent, note=late.shop_text)
    other = await stage.judge(slow, first)
    return [
        Row(
            gateway_serial=row.gateway_serial,
            states=row.states,
            evidence=row.evidence,
            spent_fen=other.spent_fen,
            note=row.note,
        )
    ]


SCENARIOS = (
    Scenario(
        rows=(Title("overspend-refused", "八台终端同时缴费：只扣得起四笔", "eight at once, the deposit covers four"),),
        run=overspend,
    ),
    Scenario(
        rows=(Title("expired-unsent", "超时未发出：自动取消并退回", "not sent in time: given up, money back"),),
        run=expired,
        faults=({"on": "bill/pay", "kind": "slow", "account": LANE, "delay_s": LANE_BUSY_S},),
    ),
)
