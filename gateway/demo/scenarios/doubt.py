"""Answers that get lost: found by a question, never found, or undone."""

from collections.abc import Sequence

from contracts import api
from contracts.money import Fen
from contracts.states import OrderKind
from gateway.demo.expect import Expect
from gateway.demo.stage import FINAL, Row, Scenario, Stage, Title, need, paid, pay_bill, refused, top_up
from gateway.demo.system import QUICK_SERVICE

FOUND, NEVER, REVERSED = "13805790107", "13805790108", "kd0571-0109"
IN_DOUBT = ("RESERVED", "SENT", "UNKNOWN")
DOUBT_TEXT = "结果待查：请勿重复收款，也暂不退款"


def doubtful(payment: api.Payment) -> None:
    """The shop is told that the result is not known, never that it failed."""
    need(payment.in_doubt is not None, "the payment is not shown as in doubt")
    need(payment.shop_text.startswith(DOUBT_TEXT), f"the shop was told {payment.shop_text}")
    need(payment.paid_fen is None and payment.final_at is None, "a doubtful payment is shown as decided")


async def found_by_question(stage: Stage) -> Sequence[Row]:
    """The bill is paid, the connection is reset before the answer: UNKNOWN, until the platform is asked."""
    async with stage.terminal("found-by-question") as terminal:
        payment = paid(await pay_bill(stage, terminal, "mobile.bill", FOUND))
        doubtful(await stage.until(terminal, payment.gateway_serial, ("UNKNOWN",)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    expect = Expect(
        states=(*IN_DOUBT, "SUCCESS"), evidence="query", paid_fen=3657, tries=("Unknown",), charged_fen=3657
    )
    return [await stage.judge(payment, expect)]


async def never_known(stage: Stage) -> Sequence[Row]:
    """The request is lost on its way. The platform says "no such order", which may not be believed for 11 minutes:
    the payment stays in doubt, a second one is refused, and made only when the operator confirms it by token."""
    async with stage.terminal("never-known") as terminal:
        payment = paid(await top_up(terminal, NEVER, Fen(3_000)))
        serial = payment.gateway_serial
        doubtful(await stage.until(terminal, serial, ("UNKNOWN",)))

        async def asked() -> bool | None:
            trace = await stage.book.trace(serial)
            return True if any(source == "query" for source, _, _ in trace.pieces) else None

        await stage.wait(asked, 30, "nobody asks the biller about it")
        doubtful(await stage.until(terminal, serial, ("UNKNOWN", *FINAL)))
        problem = refused(await top_up(terminal, NEVER, Fen(3_000)), "repeat-in-doubt")
        need(problem.gateway_serial == serial, "the refusal does not name the payment in doubt")
        need("请勿重复收款" in problem.shop_text, f"the shop was told {problem.shop_text}")
        second = paid(await top_up(terminal, NEVER, Fen(3_000), confirm_repeat=problem.repeat_token))
        second = await stage.until(terminal, second.gateway_serial, FINAL)
    first = Expect(states=IN_DOUBT, evidence=None, paid_fen=None, tries=("Unknown",), charged_fen=None)
    confirmed = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=3_000,
        tries=("Accepted",),
        charged_fen=3_000,
    )
    return [
        await stage.judge(serial, first, note=payment.shop_text),
        await stage.judge(second, confirmed, note=problem.shop_text),
    ]


async def reversed_twice(stage: Stage) -> Sequence[Row]:
    """In doubt, so policy reverses it (冲正); the acknowledgement of the reversal is lost too, and the reversal is sent
    again, as the partner's document allows: undone once."""
    async with stage.terminal("reversed-twice") as terminal:
        payment = paid(await pay_bill(stage, terminal, QUICK_SERVICE, REVERSED))
        doubtful(await stage.until(terminal, payment.gateway_serial, ("UNKNOWN",)))
        payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    expect = Expect(
        states=(*IN_DOUBT, "REVERSING", "REVERSED"),
        evidence="reply",
        paid_fen=None,
        tries=("Unknown",),
        charged_fen=0,
    )
    row = await stage.judge(payment, expect)
    trace = await stage.book.trace(payment.gateway_serial)
    undo = trace.outcomes(OrderKind.REVERSE)
    need(undo == ("Unknown", "Undone"), f"the reversal came to {undo}")
    number = trace.order(OrderKind.REVERSE).partner_serial
    told = [line.received for line in await stage.biller.book() if line.order_no == number]
    need(told == [2], f"the biller holds the reversal as {told}, must be once, asked for twice")
    return [row]


SCENARIOS = (
    Scenario(
        rows=(Title("lost-answer-resolved", "应答丢失：查询后确认成功", "answer lost, resolved by query"),),
        run=found_by_question,
        faults=({"on": "bill/pay", "kind": "paid-then-reset", "account": FOUND},),
    ),
    Scenario(
        rows=(
            Title("lost-answer-never-known", "结果始终未知：保持待查，不算失败", "never known: stays in doubt"),
            Title("repeat-in-doubt-confirmed", "待查时再缴被拒，人工确认后再缴", "a repeat is refused, then confirmed"),
        ),
        run=never_known,
        faults=({"on": "topup/order", "kind": "cut-before", "account": NEVER},),
    ),
    Scenario(
        rows=(Title("reversal-ack-lost", "自动冲正，冲正应答也丢失：重发后冲正一次", "reversal whose ack was lost"),),
        run=reversed_twice,
        faults=(
            {"on": "bill/pay", "kind": "paid-then-cut", "account": REVERSED},
            {"on": "bill/reverse", "kind": "paid-then-cut", "account": REVERSED},
        ),
    ),
)
