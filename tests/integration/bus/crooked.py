"""Puts records into a topic that no client of ours can parse: a header's name is no UTF-8.

`AIOKAFKA_NO_EXTENSIONS=1 python -m tests.integration.bus.crooked BOOTSTRAP TOPIC` (the compiled client refuses to write
them; any other producer may).
"""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


class Crooked(str):
    """A name whose bytes are not what a name's bytes may be."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def put(bootstrap: str, topic: str) -> None:
    """Good ones, each in a batch of its own, and crooked ones before, between and behind them."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1)
    await producer.start()
    for text in ("bad", "one", "bad", "bad", "two", "bad", "three"):
        headers = [(Crooked("x"), b"1")] if text == "bad" else []
        await producer.send_and_wait(topic, text.encode(), key=b"k", headers=headers)
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(put(*sys.argv[1:]))
