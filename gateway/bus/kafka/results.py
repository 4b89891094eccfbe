"""Results: every gateway reads the whole topic from its end and wakes the calls it holds. Nothing is committed.

A message that goes by unheard costs a call some waiting, no more: after every start and change of partitions all
calls are told to look at the book themselves.
"""

from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from contracts.clock import Clock
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.lags import Lags
from gateway.bus.kafka.requests import POLL_MS, close
from gateway.bus.port import Handler
from gateway.core.items import Message

RECORDS_AT_ONCE = 2_000


class ResultsReader:
    """Reads the result topic, until it is told to stop."""

    def __init__(
        self, config: KafkaConfig, client_id: str, handler: Handler, missed: Callable[[], None], clock: Clock
    ) -> None:
        self._config, self._client_id = config, client_id
        self._handler, self._missed = handler, missed
        self._stopping = False
        self.lags = Lags(clock)

    def stop(self) -> None:
        """End the session at the next poll."""
        self._stopping = True

    async def session(self) -> None:
        """Read until told to stop. Raises KafkaError or OSError where the connection is of no more use."""
        consumer = AIOKafkaConsumer(
            self._config.result_topic,
            **self._config.connection(self._client_id),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_poll_records=RECORDS_AT_ONCE,
        )
        try:
            await consumer.start()
            known: frozenset[object] = frozenset()
            while not self._stopping:
                if (now := frozenset(consumer.assignment())) != known:
                    await consumer.seek_to_end(*now)
                    self._missed()
                    known = now
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self._hear(record.topic, record.key, record.value)
                await self.lags.look(consumer)
        finally:
            await close(consumer)

    def _hear(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Only the key says whom to wake; what lies in the message is for others."""
        self._handler(
            Message(message_id="", topic=topic, key=(key or b"").decode("utf-8", "replace"), payload=value or b"")
        )
