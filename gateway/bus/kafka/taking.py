"""What becomes of one poll's records: taken, dropped, buried, or held back. Knows nothing of consumers.

Nothing here is final before it is told: whoever calls commits the offsets afterwards, so a failure anywhere brings the
same records again, and every step bears that (lanes know what they hold, SQL decides about effects).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka.structs import ConsumerRecord, TopicPartition

from gateway.bus.kafka.dead_letters import Burial, size_of
from gateway.bus.kafka.stepping import Unreadable
from gateway.bus.notes import BusNotes
from gateway.bus.port import FULL, Dead, Dropped, Handler, Screen, Verdict
from gateway.core.items import Message

Raw: TypeAlias = "ConsumerRecord[bytes | None, bytes | None] | Unreadable"
Polled: TypeAlias = Mapping[TopicPartition, Sequence[Raw]]
Bury = Callable[[Sequence[Burial]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who takes a topic. room: how many more messages it would keep waiting."""

    handler: Handler
    room: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition was read: the offset to go on at. full: its subscriber takes no more now."""

    next_offset: int
    full: bool


class Taking:
    """Judges records and hands them over."""

    def __init__(
        self,
        subscribers: Mapping[str, Subscriber],
        screen: Screen,
        bury: Bury,
        notes: BusNotes,
        *,
        message_max_bytes: int,
    ) -> None:
        self._subscribers, self._screen, self._bury, self._notes = subscribers, screen, bury, notes
        self._max = message_max_bytes

    async def take(self, polled: Polled) -> dict[TopicPartition, Progress]:
        """Where each partition stands afterwards. Raises StoreError or BusDown where it must be done again."""
        judged = await self._judge([record for records in polled.values() for record in records])
        progress: dict[TopicPartition, Progress] = {}
        burials: list[Burial] = []
        for place, records in polled.items():
            progress[place] = self._hand_over(records, judged, burials)
        if burials:
            await self._bury(burials)
            for burial in burials:
                self._notes.message_dead(burial.record.topic, burial.dead)
        return progress

    async def _judge(self, records: Sequence[Raw]) -> dict[int, Message | Verdict]:
        """By the record's identity: the message as the book knows it, or why it is not handed over."""
        judged: dict[int, Message | Verdict] = {}
        asked: list[tuple[int, Message]] = []
        for record in records:
            if (dead := self._unfit(record)) is not None:
                judged[id(record)] = dead
            else:
                asked.append((id(record), _message(record)))
        if asked:
            answers = await self._screen([message for _, message in asked])
            judged |= {place: answer for (place, _), answer in zip(asked, answers, strict=True)}
        return judged

    def _unfit(self, record: Raw) -> Dead | None:
        if isinstance(record, Unreadable):
            return Dead("malformed", "the client cannot parse the record; it stays where it lies")
        size = size_of(record)
        if size > self._max:
            return Dead("oversized", f"{size} bytes, {self._max} are allowed")
        return Dead("malformed", "no value") if record.value is None else None

    def _hand_over(
        self, records: Sequence[Raw], judged: Mapping[int, Message | Verdict], burials: list[Burial]
    ) -> Progress:
        """In the partition's order, up to the first that finds no room."""
        subscriber = self._subscribers[records[0].topic]
        for record in records:
            verdict = judged[id(record)]
            if isinstance(verdict, Message):
                verdict = subscriber.handler(verdict) if subscriber.room() > 0 else FULL
            if verdict is FULL:
                return Progress(record.offset, full=True)
            if isinstance(verdict, Dead):
                burials.append(Burial(record, verdict))
            elif isinstance(verdict, Dropped):
                self._notes.message_dropped(record.topic, verdict)
        return Progress(records[-1].offset + 1, full=False)


def _message(record: Raw) -> Message:
    return Message(
        message_id=f"{record.topic}/{record.partition}/{record.offset}",
        topic=record.topic,
        key=(record.key or b"").decode("utf-8", "replace"),
        payload=record.value or b"",
    )
