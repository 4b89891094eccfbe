"""What is told of the bus: counted every time, said once in a while; the embedded bus buries by telling."""

import json
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from gateway.bus.embedded import EmbeddedBus
from gateway.bus.kafka.config import KafkaConfig
from gateway.bus.kafka.topics import topic_differences, wanted
from gateway.bus.port import TAKEN, BusDown, BusView, Dead, Dropped, Verdict
from gateway.bus_watch import SAID_AGAIN_S, BusWatch
from gateway.core.items import Message
from gateway.log import EVENTS, Writer
from gateway.log_text import HIDDEN
from gateway.metrics import Metrics
from tests.integration.bus.parts import Notes


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self._writer = Writer(lambda _: None, strict=True)

    def __getattr__(self, level: str) -> Any:
        def write(event: str, **keys: object) -> None:
            assert event in EVENTS
            self.events.append(event)
            self.lines.append(json.loads(self._writer.render({"event": event, "level": level, **keys})))

        return write


def test_a_fault_is_counted_every_time_and_said_once_in_a_while() -> None:
    log, metrics, now = Log(), Metrics(), [0.0]
    watch = BusWatch(log, metrics, lambda: now[0])
    for _ in range(5):
        watch.bus_failed("connect", OSError("x"))
    watch.bus_failed("read", OSError("x"))
    assert log.events == ["bus.failed", "bus.failed"]
    now[0] = SAID_AGAIN_S
    watch.bus_failed("connect", OSError("x"))
    assert len(log.events) == 3
    text = metrics.render().decode()
    assert 'bianmin_bus_failures_total{what="connect"} 6.0' in text


def test_which_topic_failed_and_how_is_told_apart() -> None:
    """Whatever the words of an error are, topic and kind are keys of their own."""
    log, now = Log(), [0.0]
    watch = BusWatch(log, Metrics(), lambda: now[0])
    failed = {"bm.dead-letter": MessageSizeTooLargeError, "bm.request.acme": TimeoutError}
    for _ in range(3):
        watch.bus_failed("take", BusDown("2 of 3: 诸葛丹青", failed=failed))
        watch.producer_built(again=True)
    failures = [line for line in log.lines if line["event"] == "bus.failed"]
    assert [(line["outcome"], line["topic"], line["error"]) for line in failures] == [
        ("take", "bm.dead-letter", "MessageSizeTooLargeError"),
        ("take", "bm.request.acme", "TimeoutError"),
    ]
    watch.bus_failed("connect", BusDown("no broker answers"))
    assert log.lines[-1]["error"] == "BusDown"
    assert "topic" not in log.lines[-1]


def test_topics_that_differ_are_told_with_their_numbers() -> None:
    log, metrics = Log(), Metrics()
    watch = BusWatch(log, metrics, lambda: 0.0)
    wrong = ["max.message.bytes 1048588, expected 2162688", "retention.bytes -1, expected 1", "missing"]
    watch.topics_compared({"bm.dead-letter": wrong, "bm.result": []})
    assert [(line["event"], line["topic"], line["cause"]) for line in log.lines] == [
        ("bus.topic", "bm.dead-letter", "max.message.bytes 1048588 expected 2162688"),
        ("bus.topic", "bm.dead-letter", "retention.bytes -1 expected 1"),
        ("bus.topic", "bm.dead-letter", "missing"),
    ]
    text = metrics.render().decode()
    assert 'bianmin_topic_differences{topic="bm.dead-letter"} 3.0' in text
    assert 'bianmin_topic_differences{topic="bm.result"} 0.0' in text


def test_every_difference_a_topic_can_have_is_readable() -> None:
    kafka = KafkaConfig(bootstrap=("k:1",), prefix="bm")
    log = Log()
    watch = BusWatch(log, Metrics(), lambda: 0.0)
    for topic in wanted(kafka, ["acme"]):
        odd = [
            {"partition": 0, "replicas": [1], "isr": [], "leader": 1},
            {"partition": 1, "replicas": [1], "leader": -1},
        ]
        watch.topics_compared({topic.name: topic_differences(topic, odd, {})})
    assert len(log.lines) >= 27
    assert not [line["cause"] for line in log.lines if HIDDEN in line["cause"]]


def test_everything_has_its_metric() -> None:
    log, metrics = Log(), Metrics()
    watch = BusWatch(log, metrics, lambda: 0.0)
    watch.message_dead("bm.result", Dead("malformed", "why"))
    watch.message_dropped("t", Dropped("not-ready"))
    watch.published(7, 0.02)
    watch.producer_built(again=False)
    watch.producer_built(again=True)
    watch.show(BusView(up=True, burying=False, lag={"bm.request.acme": 12}, paused=["a", "b"]))
    text = metrics.render().decode()
    for line in (
        'bianmin_dead_letters_total{reason="malformed"} 1.0',
        'bianmin_dropped_messages_total{cause="not-ready"} 1.0',
        "bianmin_published_total 7.0",
        "bianmin_publish_seconds_count 1.0",
        "bianmin_producer_rebuilds_total 1.0",
        "bianmin_bus_up 1.0",
        "bianmin_dead_letters_stuck 1.0",
        'bianmin_bus_lag{topic="bm.request.acme"} 12.0',
        "bianmin_bus_paused_topics 2.0",
    ):
        assert line in text, line
    assert log.events == ["message.dead", "bus.connected", "bus.connected"]
    watch.show(BusView(up=False))
    assert "bm.request.acme" not in metrics.render().decode(), "a lag that is no longer ours is not shown"


async def test_the_embedded_bus_tells_its_dead_and_goes_on() -> None:
    notes, heard = Notes(), []

    def handle(message: Message) -> Verdict:
        heard.append(message.message_id)
        return Dead("malformed") if message.payload == b"bad" else TAKEN

    bus = EmbeddedBus("bm", notes)
    bus.on_request("acme", handle)
    await bus.open()
    topic = "bm.request.acme"
    await bus.publish([Message(message_id=text, topic=topic, key="k", payload=text.encode()) for text in ("bad", "ok")])
    assert heard == ["bad", "ok"]
    assert notes.dead == [(topic, "malformed")]
    await bus.leave()
    await bus.publish([Message(message_id="late", topic=topic, key="k", payload=b"")])
    assert heard == ["bad", "ok"], "who has left takes nothing more"
