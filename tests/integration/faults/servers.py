"""Faults of what we stand on: broker and PostgreSQL killed, silent, away, replaced; messages that come again."""

import os
import signal
import time
from functools import partial
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from contracts.states import OrderState
from gateway.bus.kafka.config import KafkaConfig
from tests.integration.bus.parts import raw_producer, whole_topic
from tests.integration.faults import oracle
from tests.integration.faults.cluster import Cluster
from tests.integration.faults.scene import Scene
from tests.integration.faults.traffic import Load
from tests.integration.faults.waiting import until_so
from tests.integration.postgres.stand import BaseBackup

PATIENCE_S = 3
LAG_S = 60.0


def broker_killed(scene: Scene) -> None:
    """kill -9 of the broker under load, and a restart on the same data."""
    kafka = scene.cluster.ground.kafka
    for _ in range(max(1, scene.size.rounds // 5)):
        kafka.kill()
        scene.load.grown(scene.size.payments)
        kafka.start()
        scene.flows()


def broker_away(scene: Scene) -> None:
    """No broker for a while: requests are accepted all the time."""
    kafka = scene.cluster.ground.kafka
    kafka.kill()
    until = time.monotonic() + scene.size.away_s
    while time.monotonic() < until:
        scene.load.grown(scene.size.payments)
    kafka.start()


def broker_silent(scene: Scene) -> None:
    """The broker stands still: connections stay open, and nobody answers."""
    kafka = scene.cluster.ground.kafka
    kafka.pause()
    until = time.monotonic() + scene.size.away_s
    try:
        while time.monotonic() < until:
            scene.load.grown(scene.size.payments)
    finally:
        kafka.go_on()


def postgres_restarts(scene: Scene) -> None:
    """Immediate shutdown, as good as kill -9, and recovery from the log."""
    server = scene.cluster.server
    for _ in range(max(1, scene.size.rounds // 5)):
        scene.pause()
        os.kill(server.pid, signal.SIGQUIT)
        server.restart()
        scene.cluster.heal()
        scene.load.grown(scene.size.payments)


def offsets_wait_for_the_book(scene: Scene) -> None:
    """Messages that come while the book is away are not passed over: nothing is committed that SQL does not know."""
    cluster, kafka = scene.cluster, scene.cluster.bus_config()
    topic = kafka.request_topic("telecom")
    records = cluster.traffic.do(whole_topic(kafka, topic, 1))
    os.kill(cluster.server.pid, signal.SIGQUIT)
    until_so(lambda: not _runs(cluster), "PostgreSQL is down")
    time.sleep(1)  # a batch whose rows were known before may still be committed
    try:
        before = cluster.traffic.do(committed(kafka))
        cluster.traffic.do(put_again(kafka, topic, records[:20]))
        time.sleep(PATIENCE_S)
        assert cluster.traffic.do(committed(kafka)) == before, "passed over while nobody could ask the book"
    finally:
        cluster.server.restart()
    cluster.heal()
    until_so(lambda: cluster.traffic.do(lag(kafka, topic)) == 0, "what came meanwhile is taken", LAG_S)


def _runs(cluster: Cluster) -> bool:
    try:
        return bool(cluster.server.pid)
    except RuntimeError:
        return False


def delivered_again(scene: Scene) -> None:
    """Every message once more, and then all in reverse, while new ones come; requests and results alike."""
    cluster, kafka = scene.cluster, scene.cluster.bus_config()
    for topic in (kafka.request_topic("telecom"), kafka.result_topic):
        records = cluster.traffic.do(whole_topic(kafka, topic, 1))
        cluster.traffic.do(put_again(kafka, topic, records))
        scene.chance.shuffle(records)
        cluster.traffic.do(put_again(kafka, topic, records))
    topic = kafka.request_topic("telecom")
    scene.load.grown(scene.size.payments)
    until_so(lambda: cluster.traffic.do(lag(kafka, topic)) < scene.size.payments, "all of it is taken", LAG_S)
    twice = "SELECT count(*) FROM orders WHERE attempts > 1 AND created_at > $1"
    assert cluster.one(twice, _first_moment(scene)) == 0, "a message that comes again calls nobody again"


def _first_moment(scene: Scene) -> int:
    sql = "SELECT min(accepted_at) FROM payments WHERE idempotency_key LIKE $1"
    return int(scene.cluster.one(sql, f"{scene.load.mark}-%"))


async def put_again(kafka: KafkaConfig, topic: str, records: list[Any]) -> None:
    """Publish copies of these records, the last first."""
    async with raw_producer(kafka) as put:
        for record in reversed(records):
            await put(topic, record.value, key=record.key, headers=list(record.headers))


async def committed(kafka: KafkaConfig) -> dict[Any, int]:
    """How far the workers' group has come, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(kafka.bootstrap))
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(kafka.group)
        return {place: offset.offset for place, offset in found.items()}
    finally:
        await admin.close()


async def lag(kafka: KafkaConfig, topic: str) -> int:
    """Messages of a topic that the group has not passed."""
    done = await committed(kafka)
    lying = await whole_topic(kafka, topic)
    return sum(record.offset >= done.get(_place(topic, record.partition), 0) for record in lying)


def _place(topic: str, partition: int) -> Any:
    from aiokafka.structs import TopicPartition

    return TopicPartition(topic, partition)


def fail_over(scene: Scene) -> None:
    """The primary dies under load, the stand-by takes over: what was promised before is there."""
    cluster, second = scene.cluster, scene.cluster.ground.second
    assert second is not None
    scene.load.grown(3 * scene.size.payments)
    scene.pause()
    cluster.server.kill()
    second.promote()
    cluster.server = second
    cluster.heal()
    scene.load.grown(3 * scene.size.payments)


def older_backup(scene: Scene) -> None:
    """A backup comes back under a biller whose book went on: what the copy knew ends as the biller says (M4)."""
    cluster = scene.cluster
    cluster.control("faults", {"faults": [{"on": "topup/order", "kind": "slow", "delay_s": 1, "times": None}]})
    scene.load.grown(scene.size.payments)
    copied = dict(scene.load.told)
    backup = scene.after.enter_context(BaseBackup(cluster.server))
    scene.load.grown(2 * scene.size.payments)
    scene.load.hold()
    cluster.control("faults", {"faults": []})
    cluster.server.kill()
    backup.restore()
    # Nobody has stopped them: who knew the lost book closes this one for all, and ends.
    calls = cluster.one("SELECT count(*) FROM attempts")
    closed = "SELECT count(*) FROM settings WHERE name = 'restoring' AND value > 0"
    until_so(lambda: cluster.one(closed), "the copy is closed", LAG_S)
    until_so(partial(_some_have_ended, cluster), "who knew the lost book ends", LAG_S)
    time.sleep(PATIENCE_S)
    assert cluster.one("SELECT count(*) FROM attempts") == calls, "an order of the copy was called"
    cluster.kill_all(cluster.members)
    cluster.command("db", "restored", "--yes")
    open_states = [OrderState.READY, OrderState.SENT]
    assert cluster.one("SELECT count(*) FROM orders WHERE state = ANY($1::text[])", open_states) == 0
    kept = {key for (key,) in cluster.sql("SELECT idempotency_key FROM payments")}
    lost = {key: serial for key, serial in scene.load.told.items() if key not in kept}
    assert not lost.keys() & copied.keys(), "what was promised before the backup is in it"
    scene.load.forget(lost)
    cluster.heal()
    scene.load.go_on()
    scene.check = check_restored


def _some_have_ended(cluster: Cluster) -> bool:
    cluster.look()
    return bool(cluster.gone)


def check_restored(cluster: Cluster, load: Load) -> None:
    """Both books agree on all that ours knows; what theirs has more was promised after the backup."""
    cluster.heal()
    cluster.settle(oracle.SETTLE_S)
    oracle.check_audit(cluster)
    known = {number for (number,) in cluster.sql("SELECT partner_serial FROM orders")}
    theirs = cluster.their_book()
    assert cluster.our_book() == {number: fen for number, fen in theirs.items() if number in known}
    assert theirs.keys() - known, "the biller's book had gone on"
    oracle.check_promises(cluster, load)
