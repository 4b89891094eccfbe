"""Kafka with nothing around it: what one idempotent producer and one group member move, the floor of the bus.

`python -m tests.bench.bare_kafka [HOST:PORT]` prints it; without a broker it runs one of its own. DURABLE is what a
broker is given to write each batch to the disk before it is acknowledged.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.stand.kafka import KafkaBroker, fresh_prefix

DURABLE: Mapping[str, str] = {"log.flush.interval.messages": "1"}
PAYLOAD = b'{"schema":"bianmin.request.v1",' + b"x" * 340 + b"}"
"""About as long as a request."""
BATCH = 500
PARTITIONS = 6
SECONDS = 4.0


@dataclass(frozen=True)
class BareKafka:
    """Messages a second. Produced in batches of so many, each acknowledged; consumed with a commit per poll."""

    produced_per_s: float
    consumed_per_s: float


async def measure(bootstrap: str, seconds: float = SECONDS) -> BareKafka:
    """On a topic of its own, deleted afterwards."""
    topic = f"{fresh_prefix()}.bare"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        count, produced = await _produce(bootstrap, topic, seconds)
        return BareKafka(produced, await _consume(bootstrap, topic, count))
    finally:
        await admin.delete_topics([topic])
        await admin.close()


async def _produce(bootstrap: str, topic: str, seconds: float) -> tuple[int, float]:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=262_144
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, PAYLOAD, key=b"first")
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            keys = [b"%d" % (count + number) for number in range(BATCH)]
            await asyncio.gather(*[await producer.send(topic, PAYLOAD, key=key) for key in keys])
            count += BATCH
        return count + 1, count / (time.perf_counter() - begun)
    finally:
        await producer.stop()


async def _consume(bootstrap: str, topic: str, count: int) -> float:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"{topic}.group", auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    try:
        read, begun = 0, time.perf_counter()
        while read < count:
            polled = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            read += sum(len(records) for records in polled.values())
            if polled:
                await consumer.commit()
        return read / (time.perf_counter() - begun)
    finally:
        await consumer.stop()


def main(arguments: list[str]) -> None:
    """Print the rates as JSON."""
    if arguments:
        found = asyncio.run(measure(arguments[0]))
    else:
        with KafkaBroker(settings=DURABLE) as broker:
            found = asyncio.run(measure(broker.bootstrap))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
