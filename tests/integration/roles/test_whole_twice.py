"""Two processes with every role on one PostgreSQL and the embedded bus: each puts out its own, and what others left."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.nursery import Birth, Nursery
from tests.integration.faults.waiting import until_so
from tests.integration.http.shops import Reply, Shop
from tests.integration.postgres.stand import PostgresStand
from tests.stand.gateway import end
from tests.stand.ports import free_port
from tests.stand.postgres import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(180)]
SLOW = {"on": "topup/order", "kind": "slow", "delay_s": 1, "times": None}


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[PostgresStand]:
    with PostgresServer() as server, PostgresStand(tmp_path, server) as found:
        found.deposit("5000", "V1")
        found.start()
        yield found


def pay(shop: Shop, count: int, *, wait: int | None = None) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(*(shop.pay(1000, wait=wait) for _ in range(count)))

    return asyncio.run(all_of_them())


def test_both_serve_and_one_ends_what_the_other_left(stand: PostgresStand) -> None:
    public, admin = free_port(), free_port()
    text = stand.config_file.read_text(encoding="utf-8")
    other = stand.config_file.with_name("other.toml")
    for mine, its in ((stand.public, public), (stand.partner, free_port())):
        text = text.replace(f":{mine}", f":{its}").replace(f"_port = {mine}", f"_port = {its}")
    other.write_text(
        text.replace(f'authorities = ["127.0.0.1:{public}"]', f'authorities = ["127.0.0.1:{stand.public}"]')
    )
    first, second = stand.shop(), stand.shop()
    second.port = public
    with Nursery() as nursery:
        log = str(stand.folder / "other.log")
        pid = nursery.start(Birth(role="all", config=str(other), admin=admin, log=log))
        until_so(lambda: _answers(second), "the second serves")
        parts = "SELECT count(*) FROM allowances WHERE share = 'calls' AND concurrency BETWEEN 24 AND 25"
        until_so(lambda: stand.sql(parts) == [(2,)], "they share the biller", 10)
        replies = pay(first, 8, wait=20) + pay(second, 8, wait=20)
        assert [reply.json["state"] for reply in replies] == ["SUCCESS"] * 16
        stand.control("faults", {"faults": [SLOW]})
        told = pay(second, 40)
        assert {reply.status for reply in told} == {202}
        end(pid, signal.SIGKILL)
        stand.control("faults", {"faults": []})
        stand.settle(60)
        stand.stop()
    stand.check()


def _answers(shop: Shop) -> bool:
    try:
        return asyncio.run(shop.get("/v1/account")).status == 200
    except OSError:
        return False
