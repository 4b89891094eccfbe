"""Requests and results over a real broker: nothing is lost, what nobody can use is put away, nobody holds up others."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Sequence

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from gateway.bus.kafka import lags
from gateway.bus.kafka.bus import KafkaBus
from gateway.bus.kafka.topics import Topics, wanted
from gateway.bus.port import BusDown, Dead, Dropped, Verdict
from gateway.core.items import Message
from gateway.store.port import StoreBusy
from tests.integration.bus.parts import (
    Ears,
    Notes,
    config,
    let_all_pass,
    make_topics,
    message,
    open_bus,
    put_until_taken,
    raw_producer,
    result,
    until,
    whole_topic,
)

pytestmark = pytest.mark.kafka
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_message_arrives_once_with_headers_that_people_can_read(kafka: str) -> None:
    settings, ears, notes = config(kafka), Ears(), Notes()
    await make_topics(settings)
    payload = f'{{"schema":"bianmin.request.v1","traceparent":"{PARENT}"}}'
    async with open_bus(settings, requests={"acme": ears}, notes=notes) as bus:
        await bus.publish(
            [Message(message_id="o-1", topic=settings.request_topic("acme"), key="账户", payload=payload.encode())]
        )
        await until(lambda: ears.heard == [payload])
        assert ears.keys == ["账户"]
        assert notes.taken == 1
        await until(lambda: bus.view().up)
    (record,) = await whole_topic(settings, settings.request_topic("acme"))
    assert record.key == "账户".encode()
    assert dict(record.headers) == {
        "message_id": b"o-1", "content-type": b"application/json", "schema": b"bianmin.request.v1",
        "traceparent": PARENT.encode(),
    }  # fmt: skip
    again = Ears()
    async with open_bus(settings, requests={"acme": again}, worker="w-2") as bus:
        await bus.publish([message(settings, "next")])
        await until(lambda: bool(again.heard))
    assert again.heard == ["next"], "what was taken is committed"
    assert notes.failed == []


async def test_while_the_book_is_down_nothing_is_committed_and_the_group_keeps_us(kafka: str) -> None:
    settings, ears, notes = config(kafka), Ears(), Notes()
    await make_topics(settings)
    down, asked = True, 0

    async def screen(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
        nonlocal asked
        asked += 1
        if down:
            raise StoreBusy("told to be")
        return messages

    texts = [str(number) for number in range(40)]
    async with open_bus(settings, requests={"acme": ears}, screen=screen, notes=notes) as bus:
        await bus.publish([message(settings, text) for text in texts])
        await until(lambda: asked >= 4)
        assert ears.heard == []
    other = Ears()
    async with open_bus(settings, requests={"acme": other}, screen=screen, worker="w-2"):
        await asyncio.sleep(1)
        assert other.heard == []
        down = False
        await until(lambda: len(other.heard) >= len(texts))
    assert sorted(other.heard) == sorted(texts), "each once: nothing was committed, nothing taken twice"
    assert asked < 40, "a book that is down is not asked all the time"


async def test_what_nobody_can_use_is_buried_whole_and_the_rest_flows(kafka: str) -> None:
    settings, ears, notes = config(kafka, message_max_bytes=2_000), Ears(), Notes()
    await make_topics(settings)

    async def screen(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
        judged: list[Message | Verdict] = []
        for each in messages:
            text = each.payload.decode("utf-8", "replace")
            kinds: dict[str, Verdict] = {"bad": Dead("replayed", "why"), "old": Dropped("not-ready")}
            judged.append(kinds.get(text.split("-")[0], each))
        return judged

    topic = settings.request_topic("acme")
    async with raw_producer(settings) as put:
        for number in range(12):
            await put(topic, f"good-{number}".encode(), key=b"%d" % number)
            await put(topic, f"old-{number}".encode())
        await put(topic, b"bad-1", key=b"\xff\xfe", headers=[("message_id", b"x"), ("reason", b"theirs")])
        await put(topic, b"bad-2", key=None)
        await put(topic, b"L" * 900_000, key=b"long")
        await put(topic, None, key=b"tombstone")
        await put(topic, b"good-last", key=b"z")
    async with open_bus(settings, requests={"acme": ears}, screen=screen, notes=notes, worker="w-9"):
        await until(lambda: len(ears.heard) == 13 and len(notes.dead) == 4)
    assert sorted(ears.heard) == sorted([*(f"good-{number}" for number in range(12)), "good-last"])
    assert Counter(notes.dropped) == {"not-ready": 12}
    letters = {record.key: record for record in await whole_topic(settings, settings.dead_letter_topic, 4)}
    assert set(letters) == {b"\xff\xfe", None, b"long", b"tombstone"}
    assert letters[b"long"].value == b"L" * 900_000
    assert letters[b"tombstone"].value is None
    reasons = {key: dict(letter.headers)["reason"] for key, letter in letters.items()}
    assert reasons == {b"\xff\xfe": b"replayed", None: b"replayed", b"long": b"oversized", b"tombstone": b"malformed"}
    first = letters[b"\xff\xfe"]
    assert first.value == b"bad-1"
    assert first.headers[:2] == (("message_id", b"x"), ("reason", b"theirs")), "its own headers stay"
    told = dict(first.headers)
    origin = await whole_topic(settings, topic)
    (source,) = [record for record in origin if record.key == b"\xff\xfe"]
    assert told["topic"] == topic.encode()
    assert (told["partition"], told["offset"]) == (str(source.partition).encode(), str(source.offset).encode())
    assert (told["timestamp"], told["worker"], told["detail"]) == (str(source.timestamp).encode(), b"w-9", b"why")


async def test_what_the_client_cannot_even_parse_stops_nobody(kafka: str) -> None:
    settings, ears, other, notes = config(kafka), Ears(), Ears(), Notes()
    await make_topics(settings)
    topic = settings.request_topic("acme")
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.bus.crooked", kafka, topic,
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
    )  # fmt: skip
    assert await writer.wait() == 0
    async with open_bus(settings, requests={"acme": ears, "bolt": other}, notes=notes) as bus:
        await bus.publish([message(settings, "beside", "bolt")])
        await until(lambda: len(notes.dead) == 4 and len(ears.heard) == 3 and bool(other.heard))
    assert ears.heard == ["one", "two", "three"], "in their order, each once"
    letters = await whole_topic(settings, settings.dead_letter_topic, 4)
    assert sorted(int(dict(letter.headers)["offset"]) for letter in letters) == [0, 2, 3, 5]
    again, later = Ears(), Notes()
    async with open_bus(settings, requests={"acme": again}, notes=later, worker="w-2") as bus:
        await bus.publish([message(settings, "next", key="k")])
        await until(lambda: bool(again.heard))
    assert (again.heard, later.dead) == (["next"], []), "and that is committed"


async def test_nothing_is_committed_before_the_dead_letter_is_kept(kafka: str) -> None:
    settings, notes = config(kafka), Notes()
    async with Topics(settings) as topics:
        await topics.create([topic for topic in wanted(settings, ["acme"]) if not topic.name.endswith("dead-letter")])

    async def screen(messages: Sequence[Message]) -> Sequence[Message | Verdict]:
        return [Dead("malformed") if each.payload == b"bad" else each for each in messages]

    first, second = Ears(), Ears()
    async with open_bus(settings, requests={"acme": first}, screen=screen, notes=notes) as bus:
        await bus.publish([message(settings, "bad", key="k"), message(settings, "good", key="k")])
        await until(lambda: any(text.startswith("take: BusDown") for text in notes.failed))
    assert notes.dead == []
    await make_topics(settings, ["acme"])
    async with open_bus(settings, requests={"acme": second}, screen=screen, notes=notes):
        await until(lambda: bool(second.heard))
        await until(lambda: len(notes.dead) == 1)
    assert second.heard == ["good"]
    assert len(await whole_topic(settings, settings.dead_letter_topic, 1)) == 1


async def test_a_full_lane_holds_back_its_own_topic_only(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lags, "LOOK_EVERY_S", 0.3)
    settings, slow, quick = config(kafka), Ears(room=5), Ears()
    await make_topics(settings)
    texts = [str(number) for number in range(300)]
    async with open_bus(settings, requests={"acme": slow, "bolt": quick}) as bus:
        await bus.publish([message(settings, text, biller) for text in texts for biller in ("acme", "bolt")])
        await until(lambda: len(quick.heard) == 300 and bool(bus.view().paused))
        assert len(slow.heard) == 5
        assert bus.view().paused == {settings.request_topic("acme")}
        await until(lambda: bus.view().lag.get(settings.request_topic("acme")) == 295)
        await bus.publish([message(settings, "more", "bolt")])
        await until(lambda: len(quick.heard) == 301)
        assert len(slow.heard) == 5, "and it stays held"
        slow.left = 10_000
        await until(lambda: len(slow.heard) == 300)
        await until(lambda: not bus.view().paused)
    assert sorted(slow.heard) == sorted(texts), "each once, whatever was held back"


async def test_members_come_and_go_and_nothing_is_lost(kafka: str) -> None:
    settings, heard = config(kafka, partitions=6), [Ears() for _ in range(4)]
    await make_topics(settings)
    published: list[str] = []

    async def publish(bus: KafkaBus, count: int) -> None:
        for _ in range(count):
            text = str(len(published))
            published.append(text)
            await bus.publish([message(settings, text)])
            await asyncio.sleep(0.002)

    async with open_bus(settings, requests={"acme": heard[0]}, worker="w-0") as first:
        await publish(first, 50)
        async with open_bus(settings, requests={"acme": heard[1]}, worker="w-1"):
            await publish(first, 300)
            await until(lambda: bool(heard[1].heard))
            async with open_bus(settings, requests={"acme": heard[2]}, worker="w-2") as third:
                await publish(first, 300)
                await third.leave()
                told = len(heard[2].heard)
                await publish(first, 100)
                assert len(heard[2].heard) == told, "who has left takes nothing more"
        await publish(first, 100)
        await until(lambda: {text for ears in heard for text in ears.heard} == set(published))
    assert sum(len(ears.heard) for ears in heard) < 1.5 * len(published), "a rebalance repeats little"


async def test_results_reach_every_gateway_from_now_on(kafka: str) -> None:
    settings, ears = config(kafka), [Ears(), Ears()]
    await make_topics(settings)
    async with open_bus(settings) as bus:
        await bus.publish([result(settings, "before")])
    async with (
        open_bus(settings, results=ears[0], worker="a-1") as one,
        open_bus(settings, results=ears[1], worker="a-2") as two,
    ):
        await until(lambda: all(each.missed for each in ears))
        for number in range(20):
            await (one if number % 2 else two).publish([result(settings, f"s-{number}")])
        await until(lambda: all(len(each.heard) >= 20 for each in ears))
    for each in ears:
        assert sorted(each.heard) == sorted(f"s-{number}" for number in range(20))
        assert sorted(each.keys) == sorted(each.heard)


async def test_results_are_heard_on_partitions_that_come_later(kafka: str) -> None:
    settings, ears = config(kafka, partitions=1), Ears()
    await make_topics(settings)
    async with open_bus(settings, results=ears) as bus:
        await until(lambda: ears.missed == 1)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_partitions({settings.result_topic: NewPartitions(4)})
        await admin.close()
        await until(lambda: ears.missed == 2)
        for number in range(40):
            await bus.publish([result(settings, f"s-{number}")])
        await until(lambda: {f"s-{number}" for number in range(40)} <= set(ears.heard))
    lying = await whole_topic(settings, settings.result_topic)
    assert len({record.partition for record in lying}) > 1


async def test_a_topic_that_is_not_there_holds_up_no_other(kafka: str) -> None:
    settings, ears, notes = config(kafka), Ears(), Notes()
    await make_topics(settings, ["acme"])
    async with open_bus(settings, requests={"acme": ears}, notes=notes) as bus:
        both = [message(settings, "lost", "bolt"), message(settings, "here", "acme")]
        with pytest.raises(BusDown) as first:
            await bus.publish(both)
        assert first.value.taken == {"m-here"}
        with pytest.raises(BusDown) as second:
            await bus.publish(both)
        assert second.value.taken == {"m-here"}
        await until(lambda: ears.heard == ["here", "here"])
    assert notes.rebuilt == 0, "the connection is sound"


async def test_a_biller_whose_topic_comes_later_is_heard_then(kafka: str) -> None:
    settings, ears = config(kafka), {"acme": Ears(), "bolt": Ears()}
    await make_topics(settings, ["acme"])
    async with open_bus(settings, requests=ears) as bus:
        await bus.publish([message(settings, "a", "acme")])
        await until(lambda: ears["acme"].heard == ["a"])
        await make_topics(settings, ["acme", "bolt"])
        await put_until_taken(bus, [message(settings, "b", "bolt")])
        await until(lambda: ears["bolt"].heard == ["b"])


async def test_an_empty_batch_asks_nobody(kafka: str) -> None:
    async with open_bus(config("127.0.0.1:1"), screen=let_all_pass) as bus:
        await bus.publish([])
