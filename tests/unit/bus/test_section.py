"""`bus` of the configuration: the form of worked example s5.2, and what each error says."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts.biller import Adapter
from gateway.bus.embedded import EmbeddedBus
from gateway.bus.kafka.bus import KafkaBus as Driver
from gateway.bus.notes import Unheard
from gateway.buses import build_bus
from gateway.clock import SystemClock
from gateway.config import Config, ConfigError, KafkaBus, find_adapters, kafka_config, load_config
from gateway.flow.task_group import TaskGroup
from tests.integration.bus.keys import KEY_PASSWORD, Authority
from tests.unit.flow.fakes import FakeBook
from tests.unit.ops.test_config import SQLITE, write

WORKED = (
    'driver = "kafka", bootstrap = ["kafka-1.example:9093", "kafka-2.example:9093"], topic_prefix = "bianmin",'
    ' ca_file = "keys/kafka-ca.pem", user = "bianmin", password_file = "secrets/kafka.password"'
)
ADAPTERS: Mapping[str, Adapter] = find_adapters()


def load(folder: Path, bus: str) -> Config:
    return load_config(write(folder, SQLITE.replace('driver = "embedded"', bus)), ADAPTERS)


def test_the_worked_example(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/kafka.password").write_text("geheim\n")
    Authority(tmp_path / "keys", "kafka-ca")
    config = load(tmp_path, WORKED)
    assert isinstance(config.bus, KafkaBus)
    found = kafka_config(config)
    assert (found.bootstrap, found.group) == (("kafka-1.example:9093", "kafka-2.example:9093"), "bianmin.workers")
    assert (found.partitions, found.replication, found.min_insync, found.message_max_bytes) == (12, 3, 2, 65_536)
    assert found.topics(["telecom"]) == ["bianmin.request.telecom", "bianmin.result", "bianmin.dead-letter"]
    options = found.connection("c")
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert options["sasl_plain_password"] == "geheim"
    assert options["ssl_context"].check_hostname
    assert "geheim" not in repr(found)


@pytest.mark.parametrize(
    ("bus", "protocol"),
    [
        ('bootstrap = ["k:1"]', "PLAINTEXT"),
        ('bootstrap = ["k:1"], tls = "verify"', "SSL"),
        ('bootstrap = ["k:1"], user = "u", password_file = "p"', "SASL_SSL"),
        ('bootstrap = ["[::1]:1"], tls = "off"', "PLAINTEXT"),
    ],
)
def test_how_brokers_are_spoken_to(tmp_path: Path, bus: str, protocol: str) -> None:
    (tmp_path / "p").write_text("x\n")
    found = kafka_config(load(tmp_path, f'driver = "kafka", {bus}'))
    assert found.connection("c")["security_protocol"] == protocol


WRONG: dict[str, tuple[str, str, str]] = {
    "no brokers": ("bootstrap = []", "bus.bootstrap", "at least one host:port"),
    "no port": ('bootstrap = ["kafka"]', "bus.bootstrap", "host:port"),
    "a port that is none": ('bootstrap = ["kafka:0"]', "bus.bootstrap", "host:port"),
    "prefix": ('bootstrap = ["k:1"], topic_prefix = "a.b"', "bus.topic_prefix", "1 to 64"),
    "a password without TLS": (
        'bootstrap = ["k:1"], tls = "off", user = "u", password_file = "p"', "bus.tls", "over TLS only",
    ),
    "a CA without TLS": ('bootstrap = ["k:1"], tls = "off", ca_file = "c"', "bus.tls", "verify"),
    "a user without a password": ('bootstrap = ["k:1"], user = "u"', "bus.password_file", "together"),
    "a password without a user": ('bootstrap = ["k:1"], password_file = "p"', "bus.password_file", "together"),
    "half a certificate": ('bootstrap = ["k:1"], client_cert_file = "c"', "bus.client_key_file", "together"),
    "a certificate without TLS": (
        'bootstrap = ["k:1"], client_cert_file = "c", client_key_file = "k"', "bus.client_cert_file", "TLS",
    ),
    "mechanism": ('bootstrap = ["k:1"], mechanism = "GSSAPI"', "bus.mechanism", "SCRAM-SHA-512 or PLAIN"),
    "tls": ('bootstrap = ["k:1"], tls = "maybe"', "bus.tls", "off or verify"),
    "more in sync than there are": ('bootstrap = ["k:1"], replication = 1', "bus.min_insync_replicas", "1 to 1"),
    "partitions": ('bootstrap = ["k:1"], partitions = 0', "bus.partitions", "1 to 1000"),
    "retention": ('bootstrap = ["k:1"], retention_hours = 0', "bus.retention_hours", "1 to 8760"),
    "limit": ('bootstrap = ["k:1"], message_max_bytes = 10', "bus.message_max_bytes", "1024 to"),
    "unknown key": ('bootstrap = ["k:1"], acks = 1', "bus.acks", "bootstrap, topic_prefix"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_an_error_names_key_and_form(tmp_path: Path, fault: str) -> None:
    bus, key, form = WRONG[fault]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f'driver = "kafka", {bus}')
    assert (caught.value.key, form in caught.value.expected) == (key, True), str(caught.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        kafka_config(load(tmp_path, 'driver = "kafka", bootstrap = ["k:1"], user = "u", password_file = "p"'))
    assert caught.value.key == "bus.password_file"
    (tmp_path / "p").write_text("")
    with pytest.raises(ConfigError, match="one line"):
        kafka_config(load(tmp_path, 'driver = "kafka", bootstrap = ["k:1"], user = "u", password_file = "p"'))
    (tmp_path / "c").write_text("no certificate")
    with pytest.raises(ConfigError) as caught:
        kafka_config(load(tmp_path, 'driver = "kafka", bootstrap = ["k:1"], ca_file = "c"'))
    assert caught.value.key == "bus.ca_file"
    authority = Authority(tmp_path)
    authority.client()
    pair = 'client_cert_file = "client.cert.pem", client_key_file = "client.key.pem"'
    with pytest.raises(ConfigError) as caught:
        kafka_config(load(tmp_path, f'driver = "kafka", bootstrap = ["k:1"], ca_file = "ca.pem", {pair}'))
    assert caught.value.key == "bus.client_key_file", "no password for its key"
    (tmp_path / "kp").write_text(f"{KEY_PASSWORD}\n")
    whole = f'{pair}, client_key_password_file = "kp"'
    assert kafka_config(load(tmp_path, f'driver = "kafka", bootstrap = ["k:1"], ca_file = "ca.pem", {whole}')).tls
    with pytest.raises(ConfigError, match="kafka"):
        kafka_config(load(tmp_path, 'driver = "embedded"'))


def test_the_bus_of_a_configuration(tmp_path: Path) -> None:
    def built(bus: str) -> object:
        return build_bus(
            load(tmp_path, bus), FakeBook(), SystemClock(), Unheard(), "w", tasks=TaskGroup(lambda *_: None)
        )

    assert isinstance(built('driver = "embedded"'), EmbeddedBus)
    assert isinstance(built('driver = "kafka", bootstrap = ["k:1"]'), Driver)
