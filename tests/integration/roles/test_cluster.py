"""Every role in a process of its own, on real PostgreSQL and Kafka: what they must do together.

What they survive is in tests/integration/faults.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.allowances import CALLS, QUESTIONS, shares_of
from gateway.demo.kafka_jars import NoKafka
from gateway.flow.engine import BROUGHT_MS
from tests.integration.faults.cluster import Cluster
from tests.integration.faults.grounds import plain
from tests.integration.faults.oracle import NOW_MS, check_audit, within_limits
from tests.integration.faults.waiting import until_so
from tests.integration.http.shops import Reply, Shop, new_key
from tests.stand.kafka import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(240)]
LIVING = f"worker <> '' AND expires_at > {NOW_MS}"
SLOW = {"on": "topup/order", "kind": "slow", "delay_s": 0.6, "times": None}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Seven processes: two gateways, two workers, relay, resolver, sealer."""
    try:
        broker = KafkaBroker()
    except NoKafka as why:
        pytest.skip(f"no Apache Kafka: {why}")
    with broker, plain(broker) as ground, Cluster(tmp_path_factory.mktemp("roles"), ground) as found:
        found.heal()
        yield found


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Each test finds everything running, and leaves both books equal and ours sound."""
    cluster.control("faults", {"faults": []})
    cluster.heal()
    yield
    cluster.control("faults", {"faults": []})
    cluster.heal()
    cluster.settle(90)
    assert cluster.our_book() == cluster.their_book()
    check_audit(cluster)


def pay(shop: Shop, count: int, *, wait: int | None = None) -> list[Reply]:
    """So many top-ups of different numbers at once."""

    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(*(shop.pay(1000, wait=wait) for _ in range(count)))

    return asyncio.run(all_of_them())


def allowed(cluster: Cluster, share: str = CALLS) -> dict[str, int]:
    """Calls at once, by the process that holds them now (its pid)."""
    rows = cluster.sql(f"SELECT worker, concurrency FROM allowances WHERE share = $1 AND {LIVING}", share)
    return {worker.split("-")[-2]: concurrency for worker, concurrency in rows}


def test_a_held_call_of_one_process_hears_what_another_did(cluster: Cluster) -> None:
    """api, relay, worker, the partner's notice to an api, relay, and back to the api that holds the call."""
    begun = time.monotonic()
    replies = pay(cluster.shops()[0], 6, wait=20)
    print(f"{time.monotonic() - begun:.2f} s for six payments over seven processes")
    assert [reply.json["state"] for reply in replies] == ["SUCCESS"] * 6
    taken = [cluster.metric(api, "bianmin_accepts_total") for api in cluster.of("api")]
    assert sum(taken) >= 6
    soonest = "SELECT min(a.claimed_at - o.created_at) FROM attempts a JOIN orders o ON o.order_serial = a.order_serial"
    assert cluster.one(soonest) < BROUGHT_MS, "brought by the bus, not found by the sweep"
    until_so(lambda: cluster.one("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0, "all is out", 5)


def test_the_workers_share_the_biller_and_the_resolver_has_its_own_part(cluster: Cluster) -> None:
    size = shares_of(cluster.adapters["telecom"].manifest)
    half = size[CALLS].concurrency // 2
    until_so(lambda: sorted(allowed(cluster).values()) == [half, size[CALLS].concurrency - half], "equal parts")
    assert set(allowed(cluster)) == {str(worker.pid) for worker in cluster.of("worker")}
    (resolver,) = cluster.of("resolver")
    assert allowed(cluster, QUESTIONS) == {str(resolver.pid): size[QUESTIONS].concurrency}
    shown = [cluster.metric(worker, "bianmin_allowed_calls") for worker in cluster.of("worker")]
    assert sum(shown) == size[CALLS].concurrency


def test_never_more_calls_at_once_than_the_biller_takes(cluster: Cluster) -> None:
    """Measured by the biller itself, while a third worker comes, is told to go, comes again and is killed."""
    most = cluster.adapters["telecom"].manifest.concurrency
    cluster.control("faults", {"faults": [SLOW]})
    shops = cluster.shops()

    async def load() -> None:
        await asyncio.gather(*(shop.pay(1000) for shop in shops for _ in range(35)))

    for number in (signal.SIGTERM, signal.SIGKILL):
        asyncio.run(load())
        guest = cluster.add("worker", f"guest-{number}")
        cluster.launch(guest)
        until_so(lambda: str(guest.pid) in allowed(cluster), "it has joined")  # noqa: B023 - asked at once
        until_so(lambda: allowed(cluster)[str(guest.pid)] > 0, "it has a part")  # noqa: B023 - asked at once
        asyncio.run(load())
        cluster.signal(guest, number)
        cluster.await_end([guest], 40)
        cluster.members.remove(guest)
        within_limits(cluster)
    cluster.settle(60)
    (seen,) = json.loads(cluster.control("load")).values()
    print(f"{seen} of {most} calls at once, by the biller's count")
    assert most // 2 < seen <= most


def test_what_a_draining_worker_held_is_the_others_at_once(cluster: Cluster) -> None:
    first, second = cluster.of("worker")
    until_so(lambda: len(allowed(cluster)) == 2, "both have a part")
    cluster.stop_all([first])
    assert str(first.pid) not in allowed(cluster)
    all_of_it = shares_of(cluster.adapters["telecom"].manifest)[CALLS].concurrency
    until_so(lambda: allowed(cluster) == {str(second.pid): all_of_it}, "the other has everything", 4)
    assert [reply.json["state"] for reply in pay(cluster.shops()[0], 3, wait=20)] == ["SUCCESS"] * 3


@pytest.mark.parametrize("role", ["relay", "resolver", "sealer"])
def test_a_job_is_handed_over_at_once(cluster: Cluster, role: str) -> None:
    """The second of its role waits for the lease; SIGTERM gives it away, though it is good for seconds more."""
    (first,) = cluster.of(role)
    second = cluster.add(role, f"{role}-second")
    owner = "SELECT owner LIKE $2 FROM leases WHERE name = $1"
    try:
        cluster.heal()
        assert cluster.one(owner, role, f"%-{first.pid}-%")
        assert (cluster.metric(first, "bianmin_leases_held"), cluster.metric(second, "bianmin_leases_held")) == (1, 0)
        epoch = cluster.one("SELECT fence FROM leases WHERE name = $1", role)
        cluster.stop_all([first])
        until_so(lambda: cluster.one(owner, role, f"%-{second.pid}-%"), "the second has it", 3)
        assert cluster.one("SELECT fence FROM leases WHERE name = $1", role) == epoch + 1
        assert [reply.json["state"] for reply in pay(cluster.shops()[0], 2, wait=20)] == ["SUCCESS"] * 2
    finally:
        cluster.stop_all([second])
        cluster.members.remove(second)


def test_key_nonce_and_balance_hold_across_gateways(cluster: Cluster) -> None:
    """The same bytes over many connections reach both processes; so do payments beyond the balance."""
    shop = cluster.shops()[0]
    before = [cluster.metric(api, "bianmin_accepts_total") for api in cluster.of("api")]
    body = (
        b'{"service":"mobile.topup","biller_account":"13900990001","amount_fen":1000,"terminal_trace":"1",'
        b'"params":{"carrier":"cmcc"}}'
    )
    key = new_key()
    once = shop.sign("POST", "/v1/payments", body, key=key)
    other = [shop.sign("POST", "/v1/payments", body, key=key) for _ in range(12)]

    async def send_all() -> tuple[list[Reply], list[Reply]]:
        same = asyncio.gather(*(shop.send(once) for _ in range(24)))
        again = asyncio.gather(*(shop.send(request) for request in other))
        return list(await same), list(await again)

    same, again = asyncio.run(send_all())
    taken = [reply for reply in same if reply.status in (201, 202)]
    assert len(taken) <= 1
    assert {reply.slug for reply in same if reply not in taken} == {"nonce-replayed"}
    serials = {reply.json["gateway_serial"] for reply in taken + [each for each in again if each.status in (201, 202)]}
    assert len(serials) == 1
    assert {reply.slug for reply in again if reply.status not in (201, 202)} <= {"request-running"}
    after = [cluster.metric(api, "bianmin_accepts_total") for api in cluster.of("api")]
    assert all(now > was for now, was in zip(after, before, strict=True)), "both were reached"
    code = "33078200099"
    cluster.add_station(code, "小站", "王五")
    cluster.command("station", "deposit", code, "100", "--outlet", "370001", "--by", "0001", "--voucher", "V99")
    poor = cluster.shop_of(code)
    replies = pay(poor, 24)
    assert sum(reply.status in (201, 202) for reply in replies) == 9, "10 yuan and the fee of 1 yuan each"
    assert {reply.slug for reply in replies if reply.status == 422} == {"insufficient-balance"}


def test_every_gateway_knows_that_a_biller_is_closed_and_nothing_stale_closes_it(cluster: Cluster) -> None:
    shop = cluster.shops()[0]
    cluster.stop_simulator()
    pay(shop, 30)

    def refused() -> bool:
        return {reply.slug for reply in pay(shop, 12)} == {"biller-closed"}

    until_so(refused, "both gateways refuse", 30)
    assert all(reply.header("Retry-After") for reply in pay(shop, 4))
    cluster.kill_all(cluster.of("worker"))
    until_so(lambda: all(reply.status == 202 for reply in pay(shop, 4)), "the dead keep nothing closed", 15)
    cluster.start_simulator()


def test_each_process_says_where_it_listens(cluster: Cluster) -> None:
    """The real command, ports of its own: without a public port where the role has none."""
    command = [str(Path(sys.executable).with_name("bianmin")), "serve", "--config", str(cluster.config_file)]
    for role, form in (
        ("sealer", r"serving on admin [1-9]\d*\n"),
        ("api,relay", r"serving on 127\.0\.0\.1:[1-9]\d* partner [1-9]\d* admin [1-9]\d*\n"),
    ):
        ports = ["--port", "0", "--partner-port", "0", "--admin-port", "0"]
        process = subprocess.Popen(
            [*command, "--role", role, *ports], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            line = next(line for line in lines if line.startswith("serving on"))
            assert re.fullmatch(form, line), line
            process.terminate()
            assert process.wait(40) == 0
        finally:
            process.kill()
            process.communicate()
