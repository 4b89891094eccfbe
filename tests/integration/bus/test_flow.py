"""A whole gateway over Kafka: payments end, whatever is delivered again, and are accepted while the broker is away."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from gateway.bus.kafka.config import KafkaConfig
from gateway.cli import run
from gateway.config import kafka_config, load_config
from tests.integration.bus.parts import raw_producer, set_bus, whole_topic
from tests.stand.gateway import Stand, burst
from tests.stand.kafka import KafkaBroker, fresh_prefix

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PAYMENTS = 25


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with Stand(tmp_path) as found:
        found.deposit("9000", "V1")
        yield found


def over_kafka(stand: Stand, bootstrap: str) -> KafkaConfig:
    """The installation's bus, with topics made by the operator's command."""
    set_bus(
        stand.config_file, 'driver = "kafka"', f'bootstrap = ["{bootstrap}"]', f'topic_prefix = "{fresh_prefix()}"',
        "partitions = 3", "replication = 1", "min_insync_replicas = 1",
    )  # fmt: skip
    assert run(["bus", "init", "--config", str(stand.config_file)]) == 0
    return kafka_config(load_config(stand.config_file, stand.adapters))


def metric(stand: Stand, line: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{stand.admin}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    found = re.search(rf"(?m)^{re.escape(line)} (\S+)$", text)
    return float(found[1]) if found else 0.0


def ready(stand: Stand) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{stand.admin}/readyz", timeout=5) as reply:
        return reply.status, json.load(reply)["bus"]


async def deliver_again(settings: KafkaConfig, times: int) -> int:
    """Every request, in reverse, so many times more; and one that names an order nobody knows."""
    topic = settings.request_topic("telecom")
    records = await whole_topic(settings, topic)
    async with raw_producer(settings) as put:
        for _ in range(times):
            for record in reversed(records):
                await put(topic, record.value, key=record.key, headers=list(record.headers))
        serial = json.loads(records[0].value)["order_serial"]
        await put(topic, records[0].value.replace(serial.encode(), b"20261124ZZZZZZZZZZZZZZZZ"), key=b"k")
    return len(records)


def test_what_is_delivered_again_and_out_of_order_moves_no_money(kafka: str, stand: Stand) -> None:
    settings = over_kafka(stand, kafka)
    stand.start()
    states = asyncio.run(burst(stand.shop(), PAYMENTS, wait=10))
    assert set(states.values()) == {"SUCCESS"}, "a held call hears of its result"
    assert ready(stand) == (200, "up")
    count = asyncio.run(deliver_again(settings, 2))
    assert count >= PAYMENTS
    await_metric(stand, 'bianmin_dropped_messages_total{cause="not-ready"}', 2 * count)
    await_metric(stand, 'bianmin_dead_letters_total{reason="unknown-order"}', 1)
    (letter,) = asyncio.run(whole_topic(settings, settings.dead_letter_topic, 1))
    assert b"20261124ZZZZZZZZZZZZZZZZ" in letter.value
    stand.settle(30)
    stand.stop()
    stand.check()
    ((most,),) = stand.sql("SELECT max(attempts) FROM orders")
    assert most == 1


def test_requests_are_accepted_while_the_broker_is_away(stand: Stand) -> None:
    with KafkaBroker() as broker:
        over_kafka(stand, broker.bootstrap)
        broker.kill()
        stand.start()
        states = asyncio.run(burst(stand.shop(), PAYMENTS, wait=0))
        assert "" not in states.values(), "each was taken, and said so"
        assert ready(stand) == (200, "down")
        broker.start()
        await_metric(stand, "bianmin_bus_up", 1)
        await_metric(stand, "bianmin_published_total", PAYMENTS)
        again = asyncio.run(burst(stand.shop(), PAYMENTS, wait=10))
        assert set(again.values()) == {"SUCCESS"}
        stand.settle(30)
        stand.stop()
        stand.check()


def test_dead_letters_that_cannot_be_written_are_seen(kafka: str, stand: Stand) -> None:
    settings = over_kafka(stand, kafka)
    asyncio.run(without_grave(settings))
    stand.start()
    dead = f'bianmin_topic_differences{{topic="{settings.dead_letter_topic}"}}'
    await_metric(stand, dead, 1)
    await_metric(stand, "bianmin_dead_letters_stuck", 1)
    assert ready(stand) == (200, "dead letters cannot be written")
    lines = [json.loads(line) for line in stand.log().splitlines() if '"topic"' in line]
    stand.stop()
    assert {(line["event"], line["topic"], line.get("error")) for line in lines} >= {
        ("bus.topic", settings.dead_letter_topic, None),
        ("bus.failed", settings.dead_letter_topic, "UnknownTopicOrPartitionError"),
    }


async def without_grave(settings: KafkaConfig) -> None:
    """Take the dead-letter topic away, and put something that belongs there into a request topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap))
    await admin.start()
    await admin.delete_topics([settings.dead_letter_topic])
    await admin.close()
    async with raw_producer(settings) as put:
        await put(settings.request_topic("telecom"), b"garbage", key=b"k")


def await_metric(stand: Stand, line: str, value: float, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while (found := metric(stand, line)) < value:
        assert time.monotonic() < until, f"{line} is {found}: {stand.log()[-1500:]}"
        time.sleep(0.1)
