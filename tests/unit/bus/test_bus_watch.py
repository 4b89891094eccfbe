"""What is told of the bus: counted every time, said once in a while; the embedded bus buries by telling."""

from typing import Any

from gateway.bus.embedded import EmbeddedBus
from gateway.bus.port import TAKEN, BusView, Dead, Dropped, Verdict
from gateway.bus_watch import SAID_AGAIN_S, BusWatch
from gateway.core.items import Message
from gateway.log import EVENTS
from gateway.metrics import Metrics
from tests.integration.bus.parts import Notes


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        def write(event: str, **_keys: object) -> None:
            assert event in EVENTS
            self.events.append(event)

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


def test_everything_has_its_metric() -> None:
    log, metrics = Log(), Metrics()
    watch = BusWatch(log, metrics, lambda: 0.0)
    watch.message_dead("t", Dead("malformed", "why"))
    watch.message_dropped("t", Dropped("not-ready"))
    watch.published(7, 0.02)
    watch.producer_built(again=False)
    watch.producer_built(again=True)
    watch.show(BusView(up=True, lag={"bm.request.acme": 12}, paused=["a", "b"]))
    text = metrics.render().decode()
    for line in (
        'bianmin_dead_letters_total{reason="malformed"} 1.0',
        'bianmin_dropped_messages_total{cause="not-ready"} 1.0',
        "bianmin_published_total 7.0",
        "bianmin_publish_seconds_count 1.0",
        "bianmin_producer_rebuilds_total 1.0",
        "bianmin_bus_up 1.0",
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
