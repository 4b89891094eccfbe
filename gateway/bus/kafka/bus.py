"""The Kafka driver of the bus port: a producer, and one reader for whatever was asked for."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from contracts.clock import Clock
from gateway.bus.kafka.burying import Burying
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.letters import LettersReader
from gateway.bus.kafka.producer import Producer
from gateway.bus.kafka.records import record_of
from gateway.bus.kafka.requests import RequestsReader
from gateway.bus.kafka.results import ResultsReader
from gateway.bus.kafka.taking import Subscriber, Taking
from gateway.bus.kafka.topics import BusRefused, Topics, wanted
from gateway.bus.notes import BusNotes
from gateway.bus.port import BusDown, BusView, Handler, Keep, Screen, always_room
from gateway.core.items import Message
from gateway.flow.task_group import TaskGroup

PROBE_S = 5.0
COMPARE_AGAIN_S = 30.0
BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 5.0)
STOP_S = 5.0


class Reader(Protocol):
    """RequestsReader, ResultsReader or LettersReader."""

    async def session(self) -> None: ...
    def stop(self) -> None: ...


class KafkaBus:
    """See Bus. worker: this process by name, in dead letters and as the brokers see it.

    tasks: where its loops belong to. billers: whose topics are compared once with what they should be.
    """

    def __init__(
        self,
        config: KafkaConfig,
        screen: Screen,
        clock: Clock,
        notes: BusNotes,
        worker: str,
        *,
        tasks: TaskGroup | None = None,
        billers: Collection[str] = (),
    ) -> None:
        self._config, self._screen, self._clock, self._notes, self._worker = config, screen, clock, notes, worker
        self._tasks = TaskGroup(notes.bus_failed) if tasks is None else tasks
        self._billers = billers
        self._producer = Producer(config, f"{worker}.producer", clock, notes)
        self._burying = Burying(self._producer.send, config.dead_letter_topic, worker, clock)
        self._subscribers: dict[str, Subscriber] = {}
        self._on_result: tuple[Handler, Callable[[], None]] | None = None
        self._requests: RequestsReader | None = None
        self._results: ResultsReader | None = None
        self._on_dead: tuple[Keep, Callable[[], bool]] | None = None
        self._letters: LettersReader | None = None
        self._running: dict[Reader, asyncio.Task[None]] = {}
        self._probing: asyncio.Task[None] | None = None
        self._comparing: asyncio.Task[None] | None = None

    def on_request(self, biller: str, handler: Handler, room: Callable[[], int] = always_room) -> None:
        """See Bus.on_request."""
        self._subscribers[self._config.request_topic(biller)] = Subscriber(handler, room)

    def on_result(self, handler: Handler, missed: Callable[[], None]) -> None:
        """See Bus.on_result."""
        self._on_result = (handler, missed)

    def on_dead(self, keep: Keep, ours: Callable[[], bool]) -> None:
        """See Bus.on_dead. They lie in the dead-letter topic, whoever has found them."""
        self._on_dead = (keep, ours)

    async def open(self) -> None:
        """See Bus.open: everything connects by itself, now or when a broker is there."""
        config, clock, notes = self._config, self._clock, self._notes
        if self._subscribers:
            taking = Taking(
                self._subscribers, self._screen, self._burying.bury, notes, message_max_bytes=config.message_max_bytes
            )
            self._requests = RequestsReader(
                config, f"{self._worker}.requests", self._subscribers, taking, clock=clock, notes=notes
            )
            self._start(self._requests)
        if self._on_result is not None:
            handler, missed = self._on_result
            self._results = ResultsReader(config, f"{self._worker}.results", handler, missed, clock)
            self._start(self._results)
        if self._on_dead is not None:
            self._letters = LettersReader(config, f"{self._worker}.letters", *self._on_dead, clock)
            self._start(self._letters)
        self._probing = self._tasks.for_ever("bus.probe", self._probe, clock)
        if self._billers:
            self._comparing = self._tasks.for_ever("bus.topics", self._compare, clock, again_s=BACKOFF_S)

    async def publish(self, messages: Sequence[Message]) -> None:
        """See Bus.publish."""
        if messages:
            try:
                await self._producer.send([record_of(message) for message in messages])
            except BusDown as down:
                self._notes.bus_failed("publish", down)
                raise

    async def leave(self) -> None:
        """See Bus.leave."""
        if self._requests is not None:
            await self._stop(self._requests)

    def view(self) -> BusView:
        """See Bus.view."""
        readers = [reader for reader in (self._requests, self._results, self._letters) if reader is not None]
        return BusView(
            up=self._producer.up,
            burying=self._burying.works,
            lag={topic: count for reader in readers for topic, count in reader.lags.by_topic.items()},
            paused=self._requests.paused() if self._requests else (),
        )

    async def close(self) -> None:
        """See Bus.close."""
        asking = [task for task in (self._probing, self._comparing) if task is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.gather(*(self._stop(reader) for reader in tuple(self._running)))
        await self._producer.close()

    def _start(self, reader: Reader) -> None:
        """Sessions one after the other until it is stopped: brokers may be away for as long as they like."""

        async def turn() -> float | None:
            if reader not in self._running:
                return None
            await reader.session()
            return 0

        def failed(_name: str, error: BaseException) -> None:
            self._notes.bus_failed("read", error)

        self._running[reader] = self._tasks.for_ever("bus.read", turn, self._clock, again_s=BACKOFF_S, failed=failed)

    async def _stop(self, reader: Reader) -> None:
        """Let it end its batch and leave its group; by force where that takes too long."""
        task = self._running.pop(reader, None)
        if task is None:
            return
        reader.stop()
        await asyncio.wait([task], timeout=STOP_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _probe(self) -> float:
        await self._producer.probe()
        return PROBE_S

    async def _compare(self) -> float | None:
        """Once, when a broker answers: topics that are not as wanted are told, and used all the same."""
        try:
            async with Topics(self._config) as brokers:
                found = await brokers.compare(wanted(self._config, self._billers))
        except BusRefused:
            return COMPARE_AGAIN_S
        self._notes.topics_compared({each.name: each.differences for each in found})
        return None
