"""Dead messages on their way into the book: what a record says, and who keeps what when the book is away."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from gateway.bus.embedded import EmbeddedBus
from gateway.bus.kafka.dead_letters import Burial, letter
from gateway.bus.kafka.letters import found_letter
from gateway.bus.port import TAKEN, BusDown, Dead, Verdict
from gateway.core.items import Kept, Message
from gateway.core.letters import BODY_MAX, FoundLetter, KeepLetters
from gateway.flow.letters import BATCH, Letters
from gateway.store.port import StoreBusy
from tests.unit.bus.test_taking import record

PLACE = TopicPartition("bm.request.a", 3)
GRAVE = TopicPartition("bm.dead-letter", 1)


def buried(value: bytes, offset: int = 7, **changes: Any) -> Any:
    """A record of the dead-letter topic, as ours are put there."""
    original = record(PLACE, offset, value, **changes)
    made = letter(Burial(original, Dead("malformed", "no JSON")), GRAVE.topic, "w-1")
    return record(GRAVE, 40, made.value, key=made.key, headers=tuple(made.headers), timestamp=1_795_492_801_000)


def test_a_letter_of_ours_says_where_its_record_lies() -> None:
    found = found_letter(buried(b"x\xff"))
    assert found.origin == "kafka:bm.request.a/3/7@1795492800000"
    assert (found.topic, found.key, found.body, found.reason) == ("bm.request.a", "k", b"x\xff", "malformed")
    assert (found.worker, found.buried_at) == ("w-1", 1_795_492_801_000)
    assert ("detail", "no JSON") in found.headers


def test_headers_that_the_record_itself_bore_are_not_believed() -> None:
    forged = ((name, b"1") for name in ("topic", "partition", "offset", "timestamp", "reason"))
    found = found_letter(buried(b"x", headers=tuple(forged)))
    assert found.origin == "kafka:bm.request.a/3/7@1795492800000"
    assert found.reason == "malformed"


def test_what_nobody_of_ours_put_there_is_where_it_lies() -> None:
    found = found_letter(record(GRAVE, 9, None, key=b"a\x00b", headers=(("reason", b"replayed"),)))
    assert found.origin == "kafka:bm.dead-letter/1/9@1795492800000"
    assert (found.reason, found.body, found.key) == ("malformed", b"", "a\ufffdb")


class Book:
    """Keeps letters, or is busy."""

    def __init__(self) -> None:
        self.batches: list[Sequence[FoundLetter]] = []
        self.busy = False

    async def run(self, item: KeepLetters) -> Kept:
        if self.busy:
            raise StoreBusy("told to be")
        self.batches.append(item.letters)
        return Kept(count=len(item.letters))


class Parts:
    def __init__(self, store: Book) -> None:
        self.store = store

    def entropy(self) -> int:
        return 1


def keeping(book: Book) -> Letters:
    return Letters(Parts(book))  # type: ignore[arg-type]  # what it uses of them


def some(count: int, size: int = 1) -> list[FoundLetter]:
    return [FoundLetter(origin=f"o{n}", topic="t", key="k", body=b"x" * size, reason="replayed") for n in range(count)]


async def test_letters_are_kept_in_batches_that_hold_nobody_up() -> None:
    book = Book()
    await keeping(book)(some(BATCH + 5))
    assert [len(batch) for batch in book.batches] == [BATCH, 5]
    book.batches.clear()
    await keeping(book)(some(5, BODY_MAX))
    assert [len(batch) for batch in book.batches] == [2, 2, 1]


async def test_no_message_counts_as_published_that_is_dead_and_not_kept() -> None:
    book, bus = Book(), EmbeddedBus("bm")

    def judge(message: Message) -> Verdict:
        return Dead("malformed", "told to be") if message.payload == b"dead" else TAKEN

    bus.on_request("a", judge)
    bus.on_dead(keeping(book), lambda: False)
    await bus.open()
    messages = [
        Message(message_id=f"m{n}", topic="bm.request.a", key="k", payload=p) for n, p in enumerate((b"dead", b"ok"))
    ]
    book.busy = True
    with pytest.raises(BusDown) as down:
        await bus.publish(messages)
    assert down.value.taken == {"m1"}
    book.busy = False
    await bus.publish(messages)
    ((kept,),) = book.batches
    assert (kept.origin, kept.body, kept.reason) == ("embedded:m0", b"dead", "malformed")
