"""The gateway is killed with -9 while one payment is on the wire and another waits for its turn."""

from collections.abc import Sequence

from contracts.money import Fen
from contracts.states import OrderKind
from gateway.demo.expect import Expect
from gateway.demo.stage import FINAL, Row, Scenario, Stage, Title, need, paid, top_up
from gateway.terminal import Terminal

ACCOUNT = "13805790106"
FIRST, SECOND = Fen(20_000), Fen(5_000)
FAULTS = (
    # The order is booked, the answer never comes, and no notice tells of it: only a question can.
    {"on": "topup/order", "kind": "paid-then-silent", "account": ACCOUNT, "delay_s": 60},
    {"on": "notice", "kind": "no-notice", "account": ACCOUNT},
)


async def killed(stage: Stage) -> Sequence[Row]:
    """Recovery asks the biller before anything else about what was on the wire, and sends the other as if new."""
    try:
        await stage.biller.set_faults(FAULTS)
        async with stage.terminal("killed") as terminal:
            in_flight = paid(await top_up(terminal, ACCOUNT, FIRST))
            waiting = paid(await top_up(terminal, ACCOUNT, SECOND))
            await _on_the_wire(stage, in_flight.gateway_serial)
            before = await stage.book.trace(waiting.gateway_serial)
            need(before.state == "RESERVED" and not before.attempts, f"the second order is {before.state}")
            pids = stage.system.kill_gateway()
            await stage.system.start_gateway()
            await _sent_on(stage, waiting.gateway_serial)
            stage.moments.restarted.set()
            return await _recovered(stage, terminal, in_flight.gateway_serial, waiting.gateway_serial, pids)
    finally:
        stage.moments.restarted.set()


async def _on_the_wire(stage: Stage, gateway_serial: str) -> None:
    """Wait until the biller has booked the order while our own book still only knows that it was sent."""
    number = (await stage.book.trace(gateway_serial)).order(OrderKind.PAY).partner_serial

    async def booked() -> bool | None:
        lines = await stage.biller.book()
        return True if any(line.order_no == number and line.state == "booked" for line in lines) else None

    await stage.wait(booked, 15, "the order does not reach the biller")
    trace = await stage.book.trace(gateway_serial)
    need(trace.state == "SENT" and trace.outcomes(OrderKind.PAY) == (None,), f"its call is over: {trace.state}")


async def _sent_on(stage: Stage, gateway_serial: str) -> None:
    """Wait until the biller has accepted the other order: the next story takes the biller down."""

    async def accepted() -> bool | None:
        outcomes = (await stage.book.trace(gateway_serial)).outcomes(OrderKind.PAY)
        return True if outcomes and outcomes[-1] == "Accepted" else None

    await stage.wait(accepted, 30, "the order that waited is not sent after the restart")


async def _recovered(stage: Stage, terminal: Terminal, first: str, second: str, pids: Sequence[int]) -> Sequence[Row]:
    """The wire's order is asked about once its call's deadline has passed: 20 s, then 10 s to the first question."""
    shown = await stage.until(terminal, second, FINAL)
    asked = await stage.until(terminal, first, FINAL)
    on_wire = Expect(
        states=("RESERVED", "SENT", "UNKNOWN", "SUCCESS"),
        evidence="query",
        paid_fen=FIRST.value,
        tries=("Lost",),
        charged_fen=FIRST.value,
    )
    unsent = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=SECOND.value,
        tries=("Accepted",),
        charged_fen=SECOND.value,
    )
    note = f"kill -9 {' '.join(map(str, pids))}"
    return [await stage.judge(asked, on_wire, note=note), await stage.judge(shown, unsent, note=note)]


SCENARIOS = (
    Scenario(
        rows=(
            Title(
                "killed-in-flight", "发送途中被 kill -9：重启后先问收费单位", "killed -9 in flight, recovered by asking"
            ),
            Title(
                "killed-before-sending", "发出之前被 kill -9：重启后照常发出一次", "killed -9 before sending, sent once"
            ),
        ),
        run=killed,
        after="",
    ),
)
