"""The Kafka driver of the bus port: a producer, and one reader for whatever was asked for."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from aiokafka.errors import KafkaError

from contracts.clock import Clock
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.dead_letters import Burial, letter
from gateway.bus.kafka.producer import Producer
from gateway.bus.kafka.records import record_of
from gateway.bus.kafka.requests import RequestsReader
from gateway.bus.kafka.results import ResultsReader
from gateway.bus.kafka.taking import Subscriber, Taking
from gateway.bus.notes import BusNotes
from gateway.bus.port import BusView, Handler, Screen, always_room
from gateway.core.items import Message

PROBE_S = 5.0
BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 5.0)
STOP_S = 5.0


class Reader(Protocol):
    """RequestsReader or ResultsReader."""

    async def session(self) -> None: ...
    def stop(self) -> None: ...


class KafkaBus:
    """See Bus. worker: this process by name, in dead letters and as the brokers see it."""

    def __init__(self, config: KafkaConfig, screen: Screen, clock: Clock, notes: BusNotes, worker: str) -> None:
        self._config, self._screen, self._clock, self._notes, self._worker = config, screen, clock, notes, worker
        self._producer = Producer(config, f"{worker}.producer", clock, notes)
        self._subscribers: dict[str, Subscriber] = {}
        self._on_result: tuple[Handler, Callable[[], None]] | None = None
        self._requests: RequestsReader | None = None
        self._results: ResultsReader | None = None
        self._running: dict[Reader, asyncio.Task[None]] = {}
        self._probing: asyncio.Task[None] | None = None

    def on_request(self, biller: str, handler: Handler, room: Callable[[], int] = always_room) -> None:
        """See Bus.on_request."""
        self._subscribers[self._config.request_topic(biller)] = Subscriber(handler, room)

    def on_result(self, handler: Handler, missed: Callable[[], None]) -> None:
        """See Bus.on_result."""
        self._on_result = (handler, missed)

    async def open(self) -> None:
        """See Bus.open: everything connects by itself, now or when a broker is there."""
        config, clock, notes = self._config, self._clock, self._notes
        if self._subscribers:
            taking = Taking(
                self._subscribers, self._screen, self._bury, notes, message_max_bytes=config.message_max_bytes
            )
            self._requests = RequestsReader(
                config, f"{self._worker}.requests", self._subscribers, taking, clock=clock, notes=notes
            )
            self._start(self._requests)
        if self._on_result is not None:
            handler, missed = self._on_result
            self._results = ResultsReader(config, f"{self._worker}.results", handler, missed, clock)
            self._start(self._results)
        self._probing = asyncio.get_running_loop().create_task(self._probe_for_ever(), name="bus.probe")

    async def publish(self, messages: Sequence[Message]) -> None:
        """See Bus.publish."""
        if messages:
            await self._producer.send([record_of(message) for message in messages])

    async def leave(self) -> None:
        """See Bus.leave."""
        if self._requests is not None:
            await self._stop(self._requests)

    def view(self) -> BusView:
        """See Bus.view."""
        readers = [reader for reader in (self._requests, self._results) if reader is not None]
        return BusView(
            up=self._producer.up,
            lag={topic: count for reader in readers for topic, count in reader.lags.by_topic.items()},
            paused=self._requests.paused() if self._requests else (),
        )

    async def close(self) -> None:
        """See Bus.close."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await asyncio.gather(*(self._stop(reader) for reader in tuple(self._running)))
        await self._producer.close()

    async def _bury(self, burials: Sequence[Burial]) -> None:
        topic = self._config.dead_letter_topic
        await self._producer.send([letter(burial, topic, self._worker) for burial in burials])

    def _start(self, reader: Reader) -> None:
        work = self._read_for_ever(reader)
        self._running[reader] = asyncio.get_running_loop().create_task(work, name="bus.read")

    async def _stop(self, reader: Reader) -> None:
        """Let it end its batch and leave its group; by force where that takes too long."""
        task = self._running.pop(reader, None)
        if task is None:
            return
        reader.stop()
        await asyncio.wait([task], timeout=STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _read_for_ever(self, reader: Reader) -> None:
        """Sessions one after the other until it is stopped: brokers may be away for as long as they like."""
        failures = 0
        while reader in self._running:
            begun = self._clock.monotonic()
            try:
                await reader.session()
                continue
            except (KafkaError, OSError, TimeoutError) as error:
                self._notes.bus_failed("read", error)
            except Exception as error:  # boundary: a reader that dies for any reason must be there again
                self._notes.bus_failed("read", error)
            if reader not in self._running:
                return
            failures = 0 if self._clock.monotonic() - begun > BACKOFF_S[-1] else failures + 1
            await self._clock.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _probe_for_ever(self) -> None:
        while True:
            await self._producer.probe()
            await self._clock.sleep(PROBE_S)
