"""What a shop does all day: query and pay, top up, be declined, pay in part, cancel."""

from collections.abc import Sequence

from contracts import api
from contracts.money import Fen
from contracts.states import OrderKind
from gateway.demo.expect import Expect
from gateway.demo.faults import Mismatch
from gateway.demo.stage import CARRIER, FINAL, Row, Scenario, Stage, Title, need, paid, pay_bill, refused, top_up

HELD_S = 10
"""As a shop's terminal does by default: most payments are over when the call comes back."""


async def query_and_pay(stage: Stage) -> Sequence[Row]:
    """A bill of 36.51: two periods with a penalty, the customer's name masked, paid at once."""
    async with stage.terminal("query-and-pay", held_s=HELD_S) as terminal:
        bill = await terminal.query_bill("mobile.bill", "13805790101", CARRIER)
        if not isinstance(bill, api.BillAnswer):
            raise Mismatch(f"no bill but {bill}")
        need(
            bill.total_fen == sum(line.amount_fen + line.penalty_fen for line in bill.bills), "the bill does not add up"
        )
        need(bill.customer_name != "测试用户" and "*" in bill.customer_name, "the customer's name is not masked")
        payment = paid(
            await terminal.pay(
                "mobile.bill", "13805790101", Fen(bill.total_fen), params=CARRIER, query_token=bill.query_token
            )
        )
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
        need(payment.shop_text == "缴费成功", f"the shop was told {payment.shop_text}")
    expect = Expect(
        states=("RESERVED", "SENT", "SUCCESS"), evidence="reply", paid_fen=3651, tries=("Paid",), charged_fen=3651
    )
    return [await stage.judge(payment, expect)]


async def topped_up_by_notice(stage: Stage) -> Sequence[Row]:
    """The platform only takes the order; that it succeeded comes later, by its signed notice."""
    async with stage.terminal("topped-up", held_s=HELD_S) as terminal:
        payment = paid(await top_up(terminal, "13805790102", Fen(10_000)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    expect = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=10_000,
        tries=("Accepted",),
        charged_fen=10_000,
    )
    return [await stage.judge(payment, expect)]


async def declined(stage: Stage) -> Sequence[Row]:
    """The number's state allows no top-up: the money comes back at once, and the shop is told why."""
    async with stage.terminal("declined", held_s=HELD_S) as terminal:
        payment = paid(await top_up(terminal, "13900000005", Fen(5_000)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
        need(payment.shop_text.startswith("缴费失败"), f"the shop was told {payment.shop_text}")
    expect = Expect(
        states=("RESERVED", "SENT", "FAILED"),
        evidence="reply",
        paid_fen=None,
        tries=("Declined",),
        charged_fen=0,
        reason="account-state",
    )
    return [await stage.judge(payment, expect, note=payment.shop_text)]


async def partial(stage: Stage) -> Sequence[Row]:
    """Only 50 of 100 yuan reach the phone: 50 and half the fee are spent, the rest is back."""
    async with stage.terminal("partial", held_s=HELD_S) as terminal:
        payment = paid(await top_up(terminal, "13900000003", Fen(10_000)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
        need("50.00" in payment.shop_text, f"the shop was told {payment.shop_text}")
    expect = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=5_000,
        tries=("Accepted",),
        charged_fen=5_000,
    )
    row = await stage.judge(payment, expect, note=payment.shop_text)
    need(row.spent_fen == 5_050, f"{row.spent_fen} fen were spent, must be 5050")
    return [row]


async def cancelled(stage: Stage) -> Sequence[Row]:
    """Paid, then taken back by a person on the same day; a second cancel is refused."""
    async with stage.terminal("cancelled", held_s=HELD_S) as terminal:
        payment = paid(await pay_bill(stage, terminal, "mobile.bill", "13805790103"))
        payment = await stage.until(terminal, payment.gateway_serial, ("SUCCESS",))
        payment = paid(await terminal.cancel(payment.gateway_serial, "顾客要求撤销"))
        payment = await stage.until(terminal, payment.gateway_serial, ("CANCELLED", "SUCCESS"))
        refused(await terminal.cancel(payment.gateway_serial, "再次撤销"), "state-conflict")
    expect = Expect(
        states=("RESERVED", "SENT", "SUCCESS", "CANCELLING", "CANCELLED"),
        evidence="reply",
        paid_fen=3653,
        tries=("Paid",),
        charged_fen=0,
    )
    row = await stage.judge(payment, expect)
    trace = await stage.book.trace(payment.gateway_serial)
    need(trace.outcomes(OrderKind.CANCEL) == ("Undone",), f"the cancel came to {trace.outcomes(OrderKind.CANCEL)}")
    return [row]


SCENARIOS = (
    Scenario(
        rows=(Title("bill-query-and-pay", "查询欠费并缴费", "a bill queried and paid"),),
        run=query_and_pay,
    ),
    Scenario(
        rows=(
            Title("topup-phone-accepted-then-notice", "手机充值：先受理，后由通知确认", "accepted, settled by notice"),
        ),
        run=topped_up_by_notice,
    ),
    Scenario(rows=(Title("declined", "收费单位拒绝，款项退回预存", "declined, the money is back"),), run=declined),
    Scenario(
        rows=(Title("partial-success", "部分成功：实缴50元，其余退回", "partial success, the rest is back"),),
        run=partial,
    ),
    Scenario(rows=(Title("cancel", "当日撤销，本金和手续费退回", "cancelled the same day"),), run=cancelled),
)
