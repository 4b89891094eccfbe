"""Publishing: idempotent, acknowledged by all replicas in sync, in bounded time, or BusDown (libraries s4.4).

An idempotent producer of aiokafka never gives a batch up: it tries until the broker answers, and after an error that
is not to be retried its sequence numbers no longer fit and every later batch fails. So whatever was not acknowledged in
time costs the whole producer: it is thrown away and built anew, and the relay sends again (at least once).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed, UnknownTopicOrPartitionError

from contracts.clock import Clock
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.records import Record
from gateway.bus.kafka.sending import Sending, all_within
from gateway.bus.notes import BusNotes
from gateway.bus.port import BusDown

CONNECT_S = 3.0
DELIVERY_S = 7.0
FAILED_FOR_S = 0.5
"""Whoever waited for somebody else's vain attempt to connect does not make one of its own at once."""
GIVE_UP_S = 8.0
UNKNOWN_TOPIC_S = 10.0
"""How long a topic that was not there is not asked about again: each question costs seconds."""
BATCH_BYTES = 262_144
REQUEST_MAX_BYTES = 4_194_304
"""More than any topic of ours takes: the broker decides what is too large, not this side."""


class Producer:
    """One connection to publish through, built when first needed and again whenever it failed.

    up: whether the brokers answered when they were last needed.
    """

    def __init__(self, config: KafkaConfig, client_id: str, clock: Clock, notes: BusNotes) -> None:
        self._config, self._client_id, self._clock, self._notes = config, client_id, clock, notes
        self._lock = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._built = 0
        self._failed: tuple[float, str] | None = None
        self._unknown: dict[str, float] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self.up = False

    async def send(self, records: Sequence[Record]) -> None:
        """Return when the brokers have them all. Raises BusDown within CONNECT_S + DELIVERY_S, telling which they have.

        A record that cannot be put into its topic at all (no such topic, too large) holds up none of the others.
        """
        producer, begun = await self._ready(), self._clock.monotonic()
        by_topic: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        missing = [topic for topic in by_topic if self._unknown.get(topic, 0.0) > begun]
        sendings = [Sending(producer, part) for topic, part in by_topic.items() if topic not in missing]
        in_time = not sendings or await all_within(DELIVERY_S, [sending.run() for sending in sendings])
        self._remember_unknown(sendings)
        if not in_time or any(sending.broken() for sending in sendings):
            self.up = False
            self._give_up(producer)
        else:
            self.up = True
        taken = [record_id for sending in sendings for record_id in sending.taken()]
        if len(taken) < len(records):
            failed = dict.fromkeys(missing, UnknownTopicOrPartitionError) | _failed(sendings)
            causes = ", ".join(f"{topic} {kind.__name__}" for topic, kind in failed.items())
            raise BusDown(f"{len(records) - len(taken)} of {len(records)} messages: {causes}", taken, failed=failed)
        self._notes.published(len(records), self._clock.monotonic() - begun)

    async def probe(self) -> None:
        """Learn whether a broker answers, without publishing anything. Raises nothing."""
        try:
            producer = await self._ready()
        except BusDown:
            self.up = False
            return
        try:
            async with asyncio.timeout(CONNECT_S):
                self.up = bool(await producer.client.force_metadata_update())
        except (KafkaError, TimeoutError):
            self.up = False
        except Exception as error:  # boundary: what the client does not foresee leaves it in no known state
            self.up = False
            self._notes.bus_failed("probe", error)
            self._give_up(producer)

    async def close(self) -> None:
        """Let go of the connection; what is not acknowledged stays in doubt."""
        self.up = False
        async with self._lock:
            if self._producer is not None:
                self._give_up(self._producer)
        if self._ends:
            await asyncio.wait(self._ends, timeout=GIVE_UP_S)

    async def _ready(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                if self._failed is not None and self._clock.monotonic() - self._failed[0] < FAILED_FOR_S:
                    raise BusDown(self._failed[1])
                self._producer = await self._build()
            return self._producer

    async def _build(self) -> AIOKafkaProducer:
        try:
            options = self._config.connection(self._client_id)
        except OSError as wrong:
            raise BusDown(f"a file of the bus cannot be used: {wrong}") from wrong
        producer: AIOKafkaProducer | None = None
        try:
            producer = AIOKafkaProducer(
                **options,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                max_request_size=REQUEST_MAX_BYTES,
            )
            async with asyncio.timeout(CONNECT_S):
                await producer.start()
        except Exception as wrong:  # boundary: who meets something that is no broker may raise anything
            self._unbuilt(producer)
            self._failed = (self._clock.monotonic(), f"no broker answers: {wrong!r}")
            self._notes.bus_failed("connect", wrong)
            raise BusDown(self._failed[1]) from wrong
        except asyncio.CancelledError:
            self._unbuilt(producer)
            raise
        self._built += 1
        self._notes.producer_built(again=self._built > 1)
        return producer

    def _unbuilt(self, producer: AIOKafkaProducer | None) -> None:
        self.up = False
        if producer is not None:
            self._give_up(producer)

    def _remember_unknown(self, sendings: Sequence[Sending]) -> None:
        until = self._clock.monotonic() + UNKNOWN_TOPIC_S
        for sending in sendings:
            if isinstance(sending.refused(), UnknownTopicOrPartitionError):
                self._unknown[sending.topic] = until

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        end = asyncio.get_running_loop().create_task(_end(producer, self._notes))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)


def _failed(sendings: Sequence[Sending]) -> dict[str, type[BaseException]]:
    """By topic, what went wrong; a record that was not answered in time has said nothing."""
    return {
        sending.topic: type(error) if (error := sending.error()) is not None else TimeoutError
        for sending in sendings
        if not sending.whole()
    }


async def _end(producer: AIOKafkaProducer, notes: BusNotes) -> None:
    """Close a producer whatever state it is in.

    Its own stop() waits until every batch is acknowledged, for ever where no broker answers; so they are failed first.
    """
    producer._message_accumulator.fail_all(ProducerClosed())
    try:
        async with asyncio.timeout(GIVE_UP_S):
            await producer.stop()
    except Exception as error:  # boundary: a sender that was interrupted may raise anything; nobody waits for it
        notes.bus_failed("close", error)
        await producer.client.close()
