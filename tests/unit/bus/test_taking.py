"""One poll's records: judged once, handed over in order, held back where there is no room, buried before told."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord, TopicPartition

from gateway.bus.kafka.dead_letters import DEAD_MAX_BYTES, Burial, letter
from gateway.bus.kafka.records import record_of
from gateway.bus.kafka.taking import Progress, Subscriber, Taking
from gateway.bus.port import FULL, TAKEN, BusDown, Dead, Dropped, Verdict
from gateway.core.items import Message
from gateway.store.port import StoreBusy
from tests.integration.bus.parts import Notes

A, B = TopicPartition("bm.request.a", 0), TopicPartition("bm.request.b", 1)


def record(place: TopicPartition, offset: int, value: bytes | None, **changes: Any) -> Any:
    members: dict[str, Any] = {
        "topic": place.topic, "partition": place.partition, "offset": offset, "timestamp": 1_795_492_800_000,
        "timestamp_type": 0, "key": b"k", "value": value, "checksum": None, "serialized_key_size": 0,
        "serialized_value_size": 0, "headers": (),
    }  # fmt: skip
    return ConsumerRecord(**(members | changes))


class Desk:
    """A Taking with a screen, handlers and a graveyard that do what they are told."""

    def __init__(self, room: int = 100) -> None:
        self.heard: list[bytes] = []
        self.buried: list[Burial] = []
        self.asked: list[int] = []
        self.room, self.no_grave, self.no_book = room, False, False
        self.notes = Notes()
        subscriber = Subscriber(self.handle, lambda: self.room)
        self.taking = Taking(
            {A.topic: subscriber, B.topic: subscriber}, self.screen, self.bury, self.notes, message_max_bytes=50
        )

    async def screen(self, messages: Sequence[Message]) -> Sequence[Message | Verdict]:
        self.asked.append(len(messages))
        if self.no_book:
            raise StoreBusy("told to be")
        verdicts: dict[bytes, Verdict] = {b"dead": Dead("replayed", "d"), b"old": Dropped("not-ready")}
        return [verdicts.get(each.payload, each) for each in messages]

    def handle(self, message: Message) -> Verdict:
        if self.room <= 0:
            return FULL
        self.room -= 1
        self.heard.append(message.payload)
        return TAKEN

    async def bury(self, burials: Sequence[Burial]) -> None:
        if self.no_grave:
            raise BusDown("told to be")
        self.buried += burials


async def test_a_batch_is_judged_in_one_look_and_ends_past_its_last_record() -> None:
    desk = Desk()
    found = await desk.taking.take({
        A: [record(A, 7, b"1"), record(A, 8, b"dead"), record(A, 11, b"old")],
        B: [record(B, 3, b"2"), record(B, 4, None), record(B, 5, b"L" * 60)],
    })  # fmt: skip
    assert found == {A: Progress(12, full=False), B: Progress(6, full=False)}
    assert desk.asked == [4], "once, and only about what may be read"
    assert desk.heard == [b"1", b"2"]
    assert [(each.record.offset, each.dead.reason) for each in desk.buried] == [
        (8, "replayed"), (4, "malformed"), (5, "oversized"),
    ]  # fmt: skip
    assert desk.notes.dropped == ["not-ready"]


async def test_size_counts_key_and_headers_and_its_limit_is_allowed() -> None:
    desk = Desk()
    await desk.taking.take({A: [record(A, 0, b"v" * 40, key=b"k" * 4, headers=(("h", b"12345"),))]})
    await desk.taking.take({A: [record(A, 1, b"v" * 40, key=b"k" * 4, headers=(("h", b"123456"),))]})
    assert (len(desk.heard), [each.dead.reason for each in desk.buried]) == (1, ["oversized"])


async def test_a_full_handler_stops_its_partition_there_and_no_other() -> None:
    desk = Desk(room=1)
    found = await desk.taking.take({
        A: [record(A, 0, b"1"), record(A, 1, b"2"), record(A, 2, b"dead")],
        B: [record(B, 0, b"dead"), record(B, 1, b"3")],
    })  # fmt: skip
    assert found == {A: Progress(1, full=True), B: Progress(1, full=True)}
    assert [(each.record.topic, each.record.offset) for each in desk.buried] == [(B.topic, 0)], "not yet A's"


async def test_a_book_or_a_graveyard_that_is_down_decides_nothing() -> None:
    desk = Desk()
    desk.no_book = True
    with pytest.raises(StoreBusy):
        await desk.taking.take({A: [record(A, 0, b"1")]})
    assert desk.heard == []
    desk.no_book, desk.no_grave = False, True
    with pytest.raises(BusDown):
        await desk.taking.take({A: [record(A, 0, b"dead"), record(A, 1, b"1")]})
    assert desk.notes.dead == [], "what is not kept is not told"


async def test_only_unfit_records_ask_no_book() -> None:
    desk = Desk()
    desk.no_book = True
    assert await desk.taking.take({A: [record(A, 0, None)]}) == {A: Progress(1, full=False)}


def test_a_letter_is_the_record_and_why() -> None:
    source = record(A, 9, b"\x00\xff", key=b"\xfe", headers=(("reason", b"theirs"), ("x", b"1")))
    found = letter(Burial(source, Dead("malformed", "因为")), "bm.dead-letter", "w-1")
    assert (found.topic, found.key, found.value) == ("bm.dead-letter", b"\xfe", b"\x00\xff")
    assert list(found.headers) == [
        ("reason", b"theirs"), ("x", b"1"), ("reason", b"malformed"), ("detail", "因为".encode()),
        ("topic", b"bm.request.a"), ("partition", b"0"), ("offset", b"9"), ("timestamp", b"1795492800000"),
        ("worker", b"w-1"),
    ]  # fmt: skip
    assert letter(Burial(record(A, 9, None), Dead("malformed")), "d", "w").value is None
    empty = letter(Burial(record(A, 9, None, key=None), Dead("malformed", "no value")), "d", "w")
    assert (empty.value, dict(empty.headers)["detail"]) == (b"", b"no value (neither key nor value)")


def test_what_no_topic_takes_is_cut_and_says_so() -> None:
    huge = record(A, 9, b"x" * (DEAD_MAX_BYTES + 1), headers=tuple((f"h{n}", b"y" * 1000) for n in range(200)))
    found = letter(Burial(huge, Dead("oversized")), "d", "w")
    size = len(found.value or b"") + sum(len(name) + len(value) for name, value in found.headers)
    assert size < DEAD_MAX_BYTES
    assert b"(cut: the value had 2097153 bytes, SHA-256 " in dict(found.headers)["detail"]
    assert dict(found.headers)["offset"] == b"9"


def test_a_message_of_ours_needs_no_readable_payload_to_leave() -> None:
    found = record_of(Message(message_id="m", topic="t", key="k", payload=b"\xff"))
    assert (found.value, dict(found.headers)) == (
        b"\xff", {"message_id": b"m", "content-type": b"application/json"},
    )  # fmt: skip
