"""Cable TV and broadband: the platform only takes an order, and is asked what became of it; it tells nothing itself."""

from collections.abc import Sequence

from contracts import api
from contracts.money import Fen
from gateway.demo.expect import Expect
from gateway.demo.faults import Mismatch
from gateway.demo.scenarios.doubt import doubtful
from gateway.demo.stage import FINAL, Row, Scenario, Stage, Title, need, paid

SERVICE, BILLER = "tv.bill", "tv"
NAMED, OVER_LIMIT, LOST, REVOKED = "00000001", "00000006", "20000101", "90000010"
FAULTS = (
    {"on": "order", "kind": "paid-then-reset", "account": LOST},
    {"on": "order", "kind": "decline", "account": REVOKED, "code": "401.invalid_token"},
)
"""What the simulator shows; set before the first story."""


async def query_and_pay(stage: Stage) -> Sequence[Row]:
    """The account owes 20.01; its holder's name has a rare character. Taken with 202, SUCCEEDED when asked about."""
    async with stage.terminal("tv-query-and-pay") as terminal:
        bill = await terminal.query_bill(SERVICE, NAMED)
        if not isinstance(bill, api.BillAnswer):
            raise Mismatch(f"no bill but {bill}")
        need((bill.customer_name, bill.total_fen) == ("*䶮", 2_001), f"the bill says {bill.customer_name}")
        payment = paid(await terminal.pay(SERVICE, NAMED, Fen(bill.total_fen)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    return [await stage.judge(payment, _asked(2_001), biller=BILLER)]


async def failed_later(stage: Stage) -> Sequence[Row]:
    """Taken, then FAILED (over_limit): the money comes back, and the shop is told why in words of its own."""
    async with stage.terminal("tv-failed-later") as terminal:
        payment = paid(await terminal.pay(SERVICE, OVER_LIMIT, Fen(5_000)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
        need("限额" in payment.shop_text, f"the shop was told {payment.shop_text}")
    expect = Expect(
        states=("RESERVED", "SENT", "FAILED"),
        evidence="query",
        paid_fen=None,
        tries=("Accepted",),
        charged_fen=0,
        reason="biller-limit",
    )
    return [await stage.judge(payment, expect, biller=BILLER, note=payment.shop_text)]


async def lost_answer(stage: Stage) -> Sequence[Row]:
    """The order is taken, the connection is reset before the answer: UNKNOWN, until the platform is asked."""
    async with stage.terminal("tv-lost-answer") as terminal:
        payment = paid(await terminal.pay(SERVICE, LOST, Fen(2_101)))
        doubtful(await stage.until(terminal, payment.gateway_serial, ("UNKNOWN",)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    expect = Expect(
        states=("RESERVED", "SENT", "UNKNOWN", "SUCCESS"),
        evidence="query",
        paid_fen=2_101,
        tries=("Unknown",),
        charged_fen=2_101,
    )
    return [await stage.judge(payment, expect, biller=BILLER)]


async def token_revoked(stage: Stage) -> Sequence[Row]:
    """The platform revokes the token under way: 401 proves that nothing was done, so a fresh token carries the same
    order once more, within the same sending."""
    async with stage.terminal("tv-token-revoked") as terminal:
        payment = paid(await terminal.pay(SERVICE, REVOKED, Fen(2_010), params={"product": "broadband"}))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    return [await stage.judge(payment, _asked(2_010), biller=BILLER)]


def _asked(amount_fen: int) -> Expect:
    return Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="query",
        paid_fen=amount_fen,
        tries=("Accepted",),
        charged_fen=amount_fen,
    )


SCENARIOS = (
    Scenario(
        rows=(Title("tv-bill-query-and-pay", "有线电视：查询并缴费，查询确认", "TV bill queried, paid, asked about"),),
        run=query_and_pay,
        after="restarted",
    ),
    Scenario(
        rows=(Title("tv-accepted-then-failed", "有线电视：先受理后失败，款项退回", "TV order taken, then failed"),),
        run=failed_later,
        after="restarted",
    ),
    Scenario(
        rows=(Title("tv-lost-answer-resolved", "有线电视：应答丢失，查询后确认", "TV answer lost, resolved by query"),),
        run=lost_answer,
        after="restarted",
    ),
    Scenario(
        rows=(Title("tv-token-revoked", "宽带：令牌中途失效，换新后一次入账", "token revoked under way, paid once"),),
        run=token_revoked,
        after="restarted",
    ),
)
