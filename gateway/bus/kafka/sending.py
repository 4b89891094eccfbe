"""The records of one topic on their way to the brokers."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from gateway.bus.kafka.records import Record


class Sending:
    """Hands records of one topic to a producer and keeps what became of each."""

    def __init__(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        self._producer, self._records = producer, records
        self._futures: list[tuple[Record, asyncio.Future[Any]]] = []
        self._refused: KafkaError | None = None
        self._astray: Exception | None = None

    @property
    def topic(self) -> str:
        """Where they go."""
        return self._records[0].topic

    async def run(self) -> None:
        """Hand them over, then wait for every answer."""
        for record in self._records:
            try:
                future = await self._producer.send(
                    record.topic, record.value, key=record.key, headers=list(record.headers)
                )
            except MessageSizeTooLargeError as error:
                self._refused = error
                continue
            except KafkaError as error:
                self._refused = error
                break
            except Exception as error:  # boundary: what the client does not foresee leaves it in no known state
                self._astray = error
                break
            future.add_done_callback(error_of)  # whoever stops waiting leaves no unread exception behind
            self._futures.append((record, future))
        if self._futures:
            await asyncio.wait([future for _, future in self._futures])

    def taken(self) -> list[str]:
        """Ids of those the brokers have."""
        return [record.id for record, future in self._futures if future.done() and error_of(future) is None]

    def whole(self) -> bool:
        """Whether the brokers have them all."""
        return len(self.taken()) == len(self._records)

    def broken(self) -> bool:
        """Whether one was handed over, so that it has a sequence number, and then refused or not answered; or whether
        the client failed in a way that it does not know itself."""
        return self._astray is not None or any(
            not future.done() or error_of(future) is not None for _, future in self._futures
        )

    def refused(self) -> KafkaError | None:
        """What was said of one that was never handed over: the producer is sound."""
        return self._refused

    def error(self) -> BaseException | None:
        """The first thing that went wrong, where anything was said."""
        said = (error for _, future in self._futures if future.done() and (error := error_of(future)) is not None)
        return next(said, self._astray or self._refused)


def error_of(future: "asyncio.Future[Any]") -> BaseException | None:
    """The error a future ended with."""
    return asyncio.CancelledError() if future.cancelled() else future.exception()


async def all_within(seconds: float, works: Iterable[Coroutine[Any, Any, None]]) -> bool:
    """Run them beside each other; whether all ended in time. What did not is cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        _, late = await asyncio.wait(tasks, timeout=seconds)
    except asyncio.CancelledError:
        await _stop(tasks)
        raise
    await _stop(late)
    for task in tasks:
        if not task.cancelled():
            task.result()
    return not late


async def _stop(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    for task in (found := list(tasks)):
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)
