"""A frozen certificate is refused by every process from the very next request on: payments, inquiries, pure reads."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli import run
from tests.integration.faults.nursery import Birth, Nursery
from tests.integration.faults.waiting import until_so
from tests.integration.http.shops import Reply, Shop
from tests.integration.postgres.stand import PostgresStand
from tests.stand.gateway import Stand, end
from tests.stand.ports import free_port
from tests.stand.postgres import PostgresServer

pytestmark = pytest.mark.timeout(180)
REFUSED = (401, "certificate-revoked")
EACH = 12


def deed(stand: Stand, name: str, *words: str, by: int = 1) -> None:
    """A command of one of the staff."""
    keys, folder = stand.config_file.parent / "keys", stand.config_file.parent / "secrets"
    who = ["--as", str(keys / f"staff-{by}.cert.pem"), "--key", str(keys / f"staff-{by}.key.pem")]
    who += ["--password-file", str(folder / f"staff-{by}-key.password"), "--reason", "丢失"]
    assert run([*name.split(), *words, *who, "--config", str(stand.config_file)]) == 0


async def everything(shop: Shop) -> list[Reply]:
    """Many requests of each kind, each over a connection of its own: every front answers some."""
    asked = [shop.get("/v1/account") for _ in range(EACH)]
    asked += [shop.get("/v1/payments") for _ in range(EACH)]
    asked += [shop.post("/v1/payment-inquiries", {"idempotency_key": "k" * 20}) for _ in range(EACH)]
    asked += [shop.pay(1000) for _ in range(EACH)]
    return await asyncio.gather(*asked)


def quiet() -> None:
    """Until the station's bucket of requests is full again."""
    time.sleep(3)


def told(shop: Shop) -> set[tuple[int, str]]:
    replies = asyncio.run(everything(shop))
    assert all(reply.signed for reply in replies), "a terminal must be able to believe it"
    return {(reply.status, reply.slug) for reply in replies}


def frozen_under_fire(stand: Stand, shops: list[Shop]) -> None:
    """Reads go on while the certificate is frozen; none that began after the command ended is served."""

    async def ask(shop: Shop, seen: list[tuple[float, int]], until: Callable[[], bool]) -> None:
        while not until():
            begun = time.monotonic()
            reply = await shop.get("/v1/account")
            seen.append((begun, reply.status))
            await asyncio.sleep(0.1)  # within the station's rate

    async def story() -> None:
        seen: list[tuple[float, int]] = []
        done = [0.0]
        readers = [
            asyncio.create_task(ask(shop, seen, lambda: bool(done[0]) and time.monotonic() > done[0] + 1))
            for shop in shops
            for _ in range(4)
        ]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(deed, stand, "certs freeze", shops[0].signer.keyid)
        done[0] = time.monotonic()
        await asyncio.gather(*readers)
        assert 200 in {status for _, status in seen}
        late = [status for begun, status in seen if begun >= done[0]]
        assert len(late) > 10
        assert 401 in late
        assert set(late) <= {401, 429}

    asyncio.run(story())


def test_every_front_of_one_book(tmp_path: Path) -> None:
    with Stand(tmp_path, fronts=3) as stand:
        stand.deposit("5000", "V1")
        stand.start()
        shop = stand.shop()
        assert {status for status, _ in told(shop)} <= {200, 201, 202, 422}
        frozen_under_fire(stand, [shop])
        quiet()
        assert told(shop) == {REFUSED}
        stand.settle(60)
        stand.stop()
        stand.check()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[PostgresStand]:
    with PostgresServer() as server, PostgresStand(tmp_path, server) as found:
        found.deposit("5000", "V1")
        found.start()
        yield found


@pytest.mark.postgres
@pytest.mark.slow
def test_two_gateways_on_one_database(stand: PostgresStand) -> None:
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
        birth = Birth(role="all", config=str(other), admin=admin, log=str(stand.folder / "other.log"))
        pid = nursery.start(birth)
        until_so(lambda: _answers(second), "the second serves")
        for shop in (first, second):
            assert {status for status, _ in told(shop)} <= {200, 201, 202, 422}
        frozen_under_fire(stand, [first, second])
        for shop in (first, second):
            quiet()
            assert told(shop) == {REFUSED}
        stand.settle(60)
        end(pid, signal.SIGTERM)
        stand.stop()
    stand.check()


def _answers(shop: Shop) -> bool:
    try:
        return asyncio.run(shop.get("/v1/account")).status == 200
    except OSError:
        return False
