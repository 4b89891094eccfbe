"""A running gateway with two fronts obeys within seconds: paused, drained, opened (ROLE-06)."""

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from msgspec import structs

from contracts.money import Fen
from gateway.terminal import Refused, Terminal, Tombstone, load_config
from tests.integration.certs.test_freeze_everywhere import deed
from tests.integration.faults.waiting import until_so
from tests.integration.http.shops import Reply, Shop
from tests.integration.terminal.clocks import FastClock
from tests.stand.gateway import Stand

pytestmark = pytest.mark.timeout(180)
EACH = 6


def pay_at_once(shop: Shop) -> list[Reply]:
    """As many as every front answers some; each over a connection of its own."""

    async def ask() -> list[Reply]:
        return await asyncio.gather(*(shop.pay(1000) for _ in range(EACH)))

    replies = asyncio.run(ask())
    assert all(reply.signed for reply in replies), "a terminal must be able to believe it"
    time.sleep(2)  # within the station's rate
    return replies


async def pay_as_a_terminal(stand: Stand, folder: Path) -> tuple[Any, Any]:
    """What the shop's own software makes of one payment, and what it says of it afterwards."""
    config = structs.replace(
        load_config(stand.folder / "pilot" / "terminal.toml"), journal_file=str(folder / "journal")
    )
    async with Terminal(config, FastClock()) as terminal:
        answer = await asyncio.wait_for(
            terminal.pay("mobile.topup", "13805790009", Fen(1000), params={"carrier": "cmcc"}), 10
        )
        return answer, await terminal.last()


def test_paused_drained_and_opened_while_it_serves(tmp_path: Path) -> None:
    with Stand(tmp_path, fronts=2) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        shop = stand.shop()
        assert {reply.status for reply in pay_at_once(shop)} <= {201, 202}
        stand.settle(60)
        deed(stand, "ops biller pause", "telecom", "--shop-text", "运营商检修")
        for reply in pay_at_once(shop):
            assert (reply.status, reply.slug, reply.header("Retry-After")) == (503, "biller-closed", "60")
            assert reply.json["shop_text"] == "运营商检修"
        services = asyncio.run(shop.get("/v1/services")).json["items"]
        assert {one["closed_reason"] for one in services if one["biller"] == "telecom"} == {"运营商检修"}
        deed(stand, "ops biller resume", "telecom", by=2)
        assert {reply.status for reply in pay_at_once(shop)} <= {201, 202}
        deed(stand, "ops drain begin")
        assert {(reply.status, reply.slug) for reply in pay_at_once(shop)} == {(503, "biller-closed")}
        assert asyncio.run(shop.get("/v1/payments")).status == 200
        with urlopen(f"http://127.0.0.1:{stand.admin}/readyz") as ready:
            assert ready.status == 200
        answer, last = asyncio.run(pay_as_a_terminal(stand, tmp_path))
        assert isinstance(answer, Refused), "said at once: no doubt, no tombstone loop"
        assert (answer.slug, answer.problem.shop_text) == ("biller-closed", "系统维护中，暂不受理新缴费，请稍后再试")
        assert isinstance(last.fate, Tombstone), "proven not taken"
        stand.settle(60)
        deed(stand, "ops drain end", by=2)
        assert {reply.status for reply in pay_at_once(shop)} <= {201, 202}
        stand.settle(60)
        stand.stop()
        stand.check()


def test_what_waits_for_a_paused_biller_is_sent_when_it_opens(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        shop = stand.shop()
        asyncio.run(shop.pay(1000))
        stand.settle(60)
        # Paused behind the acceptance: as if it had come between the two commits.
        stand.stop_simulator()
        asyncio.run(shop.pay(2000))
        deed(stand, "ops biller pause", "telecom")
        stand.start_simulator()
        waiting = "SELECT attempts FROM orders WHERE state = 'READY'"
        until_so(lambda: bool(stand.sql(waiting)), "an order that is proven unsent waits")
        before = stand.sql(waiting)
        time.sleep(3)
        assert stand.sql(waiting) == before, "nothing was sent"
        deed(stand, "ops biller resume", "telecom")
        until_so(lambda: not stand.sql(waiting), "it is sent")
        stand.settle(60)
        assert {state for (state,) in stand.sql("SELECT state FROM payments")} == {"SUCCESS"}
        stand.stop()
        stand.check()
