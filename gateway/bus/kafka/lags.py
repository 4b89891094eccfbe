"""How many messages of this consumer's partitions are not read yet, looked at from time to time."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError

from contracts.clock import Clock

LOOK_EVERY_S = 5.0
LOOK_S = 2.0


class Lags:
    """By topic. The brokers are asked: a paused partition learns nothing by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._next = clock, 0.0
        self.by_topic: Mapping[str, int] = {}

    async def look(self, consumer: AIOKafkaConsumer) -> None:
        """Ask, where it is time to."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_EVERY_S
        try:
            async with asyncio.timeout(LOOK_S):
                places = list(consumer.assignment())
                ends = await consumer.end_offsets(places) if places else {}
                found: Counter[str] = Counter()
                for place, end in ends.items():
                    found[place.topic] += max(0, end - await consumer.position(place))
        except (KafkaError, IllegalStateError, TimeoutError):
            return  # what was seen last stays
        self.by_topic = dict(found)
