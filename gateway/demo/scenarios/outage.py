"""The biller cannot be reached: proven unsent, so the same order may go again."""

from collections.abc import Sequence

from contracts.money import Fen
from gateway.demo.expect import Expect
from gateway.demo.stage import FINAL, Row, Scenario, Stage, Title, need, paid, top_up

DOWN_S = 8.0


async def biller_down(stage: Stage) -> Sequence[Row]:
    """The platform refuses connections for a moment. One effect, however often it was tried.

    It arms every other scenario's faults in the same breath: the simulator takes the whole list at once, and its
    control interface is down with it.
    """
    down = {"on": "*", "kind": "refuse-connection", "delay_s": DOWN_S}
    try:
        async with stage.terminal("biller-down") as terminal:
            await stage.biller.set_faults([*stage.faults, down])
            payment = paid(await top_up(terminal, "13805790105", Fen(3_000)))

            async def tried_again() -> bool | None:
                trace = await stage.book.trace(payment.gateway_serial)
                return True if "Accepted" in [attempt.outcome for attempt in trace.attempts] else None

            await stage.wait(tried_again, 20, "the order is not sent again")
            stage.moments.biller_back.set()
            payment = await stage.until(terminal, payment.gateway_serial, FINAL)
    finally:
        stage.moments.biller_back.set()
    refusals = len((await stage.book.trace(payment.gateway_serial)).attempts) - 1
    need(refusals >= 1, "the biller was not down when the order was sent")
    expect = Expect(
        states=(*("RESERVED", "SENT") * (refusals + 1), "SUCCESS"),
        evidence="notice",
        paid_fen=3_000,
        tries=(*("NotSent",) * refusals, "Accepted"),
        charged_fen=3_000,
    )
    return [await stage.judge(payment, expect)]


SCENARIOS = (
    Scenario(
        rows=(
            Title(
                "biller-down-sent-again",
                "收费单位断线：证实未发出，重发一次入账",
                "biller down, proven unsent, sent again",
            ),
        ),
        run=biller_down,
        after="restarted",
    ),
)
