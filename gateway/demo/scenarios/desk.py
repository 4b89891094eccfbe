"""The operations desk: two messages that nobody could read are replayed by two people, a long doubt is ruled by two."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.money import Fen
from gateway.demo.expect import Expect
from gateway.demo.misprints import put_in
from gateway.demo.office import FIRST, SECOND, Office
from gateway.demo.scenarios.doubt import doubtful
from gateway.demo.stage import FINAL, Row, Scenario, Stage, Title, need, paid, top_up

PAID, DOUBT = "13805790125", "13805790126"
PRICE = Fen(2_000)
LETTER = "telecom：该笔订单未受理，未入账。\n"
"""What the biller wrote to the bureau."""


async def failed_messages(stage: Stage) -> Sequence[Row]:
    """Both messages get a slip on their way. Of the payment that is made a replay does nothing; of the one in doubt it
    may only ask. The biller then writes that it never booked it, and two people rule."""
    office = Office(stage.system, "desk")
    async with stage.terminal("desk") as terminal:
        made = paid(await top_up(terminal, PAID, PRICE))
        lost = paid(await top_up(terminal, DOUBT, PRICE))
        made = await stage.until(terminal, made.gateway_serial, FINAL)
        doubtful(await stage.until(terminal, lost.gateway_serial, ("UNKNOWN",)))
        serials = (made.gateway_serial, lost.gateway_serial)
        requests = {serials[0]: await stage.book.request(PAID), serials[1]: await stage.book.request(DOUBT)}
        await _corrected(stage, office, requests, await _letters(stage, requests))
        told = await _replayed(stage, office, serials)
        file = _write(stage, "biller-letter.txt", LETTER.encode())
        await office.both("收费单位书面答复", "ops", "rule", serials[1], "--not-paid", "--attach", str(file))
        ruled = await stage.until(terminal, serials[1], FINAL)
        need("裁定" in ruled.shop_text, f"the shop was told {ruled.shop_text}")
    good = Expect(
        states=("RESERVED", "SENT", "SUCCESS"),
        evidence="notice",
        paid_fen=PRICE.value,
        tries=("Accepted",),
        charged_fen=PRICE.value,
    )
    given_back = Expect(
        states=("RESERVED", "SENT", "UNKNOWN", "FAILED"),
        evidence="ruling",
        paid_fen=None,
        tries=("Unknown",),
        charged_fen=None,
        reason="ruled",
    )
    return [await stage.judge(made, good, note=told), await stage.judge(ruled, given_back, note=ruled.shop_text)]


def _write(stage: Stage, name: str, content: bytes) -> Path:
    file = stage.system.layout.root / name
    file.write_bytes(content)
    return file


Requests = Mapping[str, tuple[str, str, bytes]]
"""By gateway serial: topic, key and payload of the message that asked for it."""


async def _letters(stage: Stage, requests: Requests) -> Mapping[str, str]:
    """Misprints of the requests as they were sent, found dead by the bus: letter by gateway serial."""
    rows = []
    for serial, (topic, key, payload) in requests.items():
        slip = payload.replace(b'"kind":"order"', b'"kind":"ordre"')
        need(slip != payload, f"the request of {serial} has no kind")
        rows.append((f"misprint-{serial}", topic, key, slip, 1))
    await put_in(stage.system.config(), rows)

    async def found() -> Mapping[str, str] | None:
        letters = {one["gateway_serial"]: one["letter_id"] for one in await _list(stage)}
        return letters if set(letters) == set(requests) else None

    return await stage.wait(found, 30, "the misprints are not found dead")


async def _list(stage: Stage) -> list[dict[str, Any]]:
    words = ("ops", "dead-letters", "list", "--json", "--config", str(stage.system.layout.config))
    return list(json.loads(await stage.system.command("dead-letters", *words)))


async def _corrected(stage: Stage, office: Office, requests: Requests, letters: Mapping[str, str]) -> None:
    """A corrected copy beside each letter, linked to it."""
    for serial, (_, _, payload) in requests.items():
        file = _write(stage, f"corrected-{serial}.json", payload)
        await office.alone(FIRST, "更正笔误", "ops", "dead-letters", "correct", letters[serial], str(file))


async def _replayed(stage: Stage, office: Office, serials: Sequence[str]) -> str:
    """Planned, refused to whoever asked for it, approved by the other, run. What was told of it."""
    verdicts = {one["gateway_serial"]: one["verdict"] for one in await _list(stage)}
    need(verdicts == dict(zip(serials, ("ALREADY_FINAL", "ASK_ONLY"), strict=True)), f"the verdicts are {verdicts}")
    file = stage.system.layout.root / "replay-plan.json"
    words = ("ops", "replay", "plan", "--out", str(file), "--json", "--config", str(stage.system.layout.config))
    plan = json.loads(await stage.system.command("replay-plan", *words))
    planned = {one["verdict"]: one["letters"] for one in plan["totals"]}
    need(planned == dict(Counter(verdicts.values())), f"the plan has {planned}")
    deed = (await office.alone(FIRST, "重放失败报文", "ops", "replay", "request", str(file))).split()[-1]
    refusal = await office.alone(FIRST, "自己批准", "ops", "approve", deed, codes=(1,))
    need("authorization-required" in refusal, f"a self-approval was answered {refusal}")
    await office.alone(SECOND, "已核对清单", "ops", "approve", deed)
    ran = await office.alone(SECOND, "按批准执行", "ops", "replay", "run", str(file), "--json")
    outcomes = json.loads(ran[ran.index("{") :])["outcomes"]
    need(outcomes.get("asked") == 1 and sum(outcomes.values()) == len(serials), f"the run came to {outcomes}")
    again = await office.alone(FIRST, "再执行", "ops", "replay", "run", str(file), "--json", codes=(1,))
    need("done already" in again, f"a second run was answered {again}")
    return f"重放清单 replay plan {plan['plan_sha256'][:12]}…: {json.dumps(planned)}; 自批被拒 self-approval refused"


SCENARIOS = (
    Scenario(
        rows=(
            Title("dead-letters-replayed", "失败报文：先判断再重放，绝不重复付款", "failed messages judged, replayed"),
            Title("long-doubt-ruled", "久查不明：两人凭书面答复裁定", "a long doubt, ruled by two people"),
        ),
        run=failed_messages,
        faults=({"on": "topup/order", "kind": "cut-before", "account": DOUBT},),
    ),
)
