"""A broker of our own: killed and back, away at the start, silent; and the listener that wants TLS and a password."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bus.kafka.config import KafkaConfig, Tls
from gateway.bus.kafka.topics import BusRefused, Topics
from gateway.bus.port import BusDown
from gateway.demo.kafka_jars import NoKafka
from tests.integration.bus.keys import KEY_PASSWORD, Authority
from tests.integration.bus.parts import (
    Ears,
    Notes,
    config,
    make_topics,
    message,
    open_bus,
    put_until_taken,
    result,
    until,
    whole_topic,
)
from tests.stand.kafka import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
USER, PASSWORD, PLAIN_PASSWORD = "bianmin", "scram-geheim", "plain-geheim"
_SECURE = "listener.name.secure."


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[KafkaBroker]:
    """Ours to kill. Its second listener wants TLS with a client's certificate, and a password."""
    settings = {
        f"{_SECURE}ssl.keystore.type": "PEM",
        f"{_SECURE}ssl.keystore.location": str(authority.server()),
        f"{_SECURE}ssl.truststore.type": "PEM",
        f"{_SECURE}ssl.truststore.location": str(authority.file),
        f"{_SECURE}ssl.client.auth": "required",
        f"{_SECURE}sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        f"{_SECURE}scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        f"{_SECURE}plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PLAIN_PASSWORD}";'
        ),
    }
    try:
        found = KafkaBroker(settings=settings, secure=True, scram={USER: PASSWORD})
    except NoKafka as why:
        pytest.skip(f"no Apache Kafka: {why}")
    with found:
        yield found


@pytest.fixture
def running(broker: KafkaBroker) -> Iterator[KafkaBroker]:
    """The broker, running before and afterwards."""
    yield broker
    broker.go_on()
    if not broker.alive():
        broker.start()


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing(running: KafkaBroker) -> None:
    settings, ears, results, notes = config(running.bootstrap), Ears(), Ears(), Notes()
    await make_topics(settings)
    sent: list[str] = []
    told: set[str] = set()

    async def publish() -> None:
        for number in range(150):
            texts = [f"{number}-{each}" for each in range(10)]
            sent.extend(texts)
            await put_until_taken(bus, [message(settings, text) for text in texts], 90)
            told.update(texts)
            await asyncio.sleep(0.01)

    async with open_bus(settings, requests={"acme": ears}, results=results, notes=notes) as bus:
        await until(lambda: bool(results.missed))
        publishing = asyncio.ensure_future(publish())
        await until(lambda: len(told) > 200)
        running.kill()
        kept = set(told)
        await asyncio.sleep(1.5)
        assert not publishing.done()
        await running.start_in_loop()
        await publishing
        await until(lambda: set(ears.heard) == set(sent), 60)
        await bus.publish([result(settings, "after")])
        await until(lambda: "after" in results.heard, 30)
    lying = {record.value.decode() for record in await whole_topic(settings, settings.request_topic("acme"))}
    assert kept <= lying, "what was told as taken lies in the topic"
    assert lying == set(sent)


async def test_a_silent_broker_is_told_in_time_and_forgiven(running: KafkaBroker) -> None:
    settings, ears, notes = config(running.bootstrap), Ears(), Notes()
    await make_topics(settings)
    async with open_bus(settings, requests={"acme": ears}, notes=notes) as bus:
        await bus.publish([message(settings, "first")])
        running.pause()
        with pytest.raises(BusDown):
            await bus.publish([message(settings, "second")])
        assert not bus.view().up
        running.go_on()
        await put_until_taken(bus, [message(settings, "second")])
        await until(lambda: {"first", "second"} <= set(ears.heard), 60)
        await until(lambda: bus.view().up)
    assert notes.rebuilt >= 1, "a producer that was not answered is replaced"


async def test_a_broker_that_comes_after_us_is_found(running: KafkaBroker) -> None:
    settings, ears, results = config(running.bootstrap), Ears(), Ears()
    await make_topics(settings)
    running.kill()
    async with open_bus(settings, requests={"acme": ears}, results=results) as bus:
        assert not bus.view().up, "open waits for nobody"
        with pytest.raises(BusDown):
            await bus.publish([message(settings, "early")])
        assert not bus.view().up
        await running.start_in_loop()
        await put_until_taken(bus, [message(settings, "late")])
        await until(lambda: ears.heard == ["late"], 30)
        await until(lambda: results.missed > 0, 30)
        await until(lambda: bus.view().up, 15)


async def test_closing_does_not_wait_for_a_broker_that_is_away(running: KafkaBroker) -> None:
    settings, ears = config(running.bootstrap), Ears()
    await make_topics(settings)
    async with open_bus(settings, requests={"acme": ears}, results=Ears()) as bus:
        await bus.publish([message(settings, "x")])
        await until(lambda: bool(ears.heard))
        running.kill()
    assert not bus.view().up


def secured(broker: KafkaBroker, authority: Authority, **changes: object) -> KafkaConfig:
    certificate, key = authority.client()
    tls = Tls(ca_file=authority.file, cert_file=certificate, key_file=key, key_password=KEY_PASSWORD)
    settings = config(f"127.0.0.1:{broker.broker.secure}", tls=tls, user=USER, password=PASSWORD)
    return replace(settings, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("mechanism", "password"), [("SCRAM-SHA-512", PASSWORD), ("PLAIN", PLAIN_PASSWORD)])
async def test_tls_and_a_password(running: KafkaBroker, authority: Authority, mechanism: str, password: str) -> None:
    settings, ears = secured(running, authority, mechanism=mechanism, password=password), Ears()
    await make_topics(settings)
    async with open_bus(settings, requests={"acme": ears}) as bus:
        await bus.publish([message(settings, "sealed")])
        await until(lambda: ears.heard == ["sealed"])


@pytest.mark.parametrize("fault", ["password", "mechanism", "stranger's broker", "no certificate", "no tls"])
async def test_who_cannot_prove_himself_is_refused(
    running: KafkaBroker, authority: Authority, tmp_path: Path, fault: str
) -> None:
    settings = secured(running, authority)
    tls = settings.tls
    assert tls is not None
    match fault:
        case "password":
            settings = replace(settings, password="wrong")
        case "mechanism":
            settings = replace(settings, mechanism="PLAIN")
        case "stranger's broker":
            settings = replace(settings, tls=replace(tls, ca_file=Authority(tmp_path, "other").file))
        case "no certificate":
            settings = replace(settings, tls=replace(tls, cert_file=None, key_file=None))
        case _:
            settings = replace(settings, tls=None, user=None)
    with pytest.raises(BusRefused):
        async with Topics(settings):
            pytest.fail("it was let in")
    async with open_bus(settings) as bus:
        with pytest.raises(BusDown):
            await bus.publish([message(settings, "x")])
