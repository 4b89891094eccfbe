"""Apache Kafka for `BUS=kafka` and for tests: one broker in KRaft mode on loopback ports, its data in one folder."""

import asyncio
import base64
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from contracts.clock import Clock
from gateway.demo.children import LOOK_S, Child, free_ports
from gateway.demo.faults import DemoFault
from gateway.demo.folder import Layout
from gateway.demo.kafka_jars import NoKafka, find_jars

START_S = 90.0
_PROBE_S = 2.0
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    # A broker that was killed is let in again when its former self is forgotten.
    "broker.heartbeat.interval.ms": "300",
    "broker.session.timeout.ms": "2000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One broker as files and command lines; whoever runs it decides how.

    settings: more lines of server.properties. secure: port of a listener SECURE (SASL over TLS), 0 for none; its keys
    are in `settings`. scram: users of SCRAM-SHA-512 and their passwords, made when the storage is formatted.
    """

    folder: Path
    port: int
    controller: int
    secure: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    scram: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self.port}"

    @property
    def properties(self) -> Path:
        """The broker's configuration file."""
        return self.folder / "server.properties"

    def write(self) -> None:
        """Write the configuration."""
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self.controller} | (
            {"SECURE": self.secure} if self.secure else {}
        )
        spoken = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        lines = {
            **_SETTINGS,
            "listeners": ",".join(spoken.values()),
            "advertised.listeners": ",".join(text for name, text in spoken.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "log.dirs": str(self.folder / "data"),
            **self.settings,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        self.properties.write_text(text, encoding="utf-8")
        self.properties.chmod(0o600)

    def format_command(self, jars: Path) -> list[str]:
        """Prepare the storage, once."""
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        users = [
            part
            for name, password in self.scram.items()
            for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        # An id may begin with a hyphen, which would pass for an option of its own.
        named = (f"--cluster-id={cluster}", f"--config={self.properties}")
        return self._java(jars, "kafka.tools.StorageTool", "format", *named, *users)

    def server_command(self, jars: Path) -> list[str]:
        """Serve until SIGTERM."""
        return self._java(jars, "kafka.Kafka", str(self.properties))

    def _java(self, jars: Path, program: str, *arguments: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise NoKafka("there is no `java` on this machine")
        return [java, *_JVM, "-cp", f"{jars}/*", program, *arguments]


async def answers(bootstrap: str) -> bool:
    """Whether a topic could be created there now: an open port is not yet a broker."""
    host, _, port = bootstrap.rpartition(":")
    try:
        _, probe = await asyncio.open_connection(host, int(port))
    except OSError:
        return False  # the client would say so in its log, many times
    probe.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(_PROBE_S * 1000))
    try:
        async with asyncio.timeout(_PROBE_S):
            await admin.start()
            reply = await admin.create_topics([NewTopic("ready", 1, 1)], validate_only=True)
    except (KafkaError, OSError, TimeoutError, AttributeError):  # without a controller the client trips over None
        return False
    finally:
        await admin.close()
    return all(found[1] in {0, 36} for found in reply.topic_errors)


class Kafka:
    """The demo's own broker."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout, self._clock = layout, clock
        try:
            self._jars = find_jars()
        except NoKafka as why:
            raise DemoFault(f"Apache Kafka 不在此环境中：{why} (there is no Apache Kafka here)") from why
        port, controller = free_ports(2)
        self.broker = Broker(folder=layout.root / "kafka", port=port, controller=controller)
        self._server: Child | None = None

    async def start(self) -> None:
        """Make its storage, serve it, and return when a topic can be created."""
        self.broker.write()
        log = self._layout.log("kafka")
        await Child("kafka format", self.broker.format_command(self._jars), log, self._clock).done(START_S)
        server = self._server = Child(
            "kafka", self.broker.server_command(self._jars), log, self._clock, death=signal.SIGTERM
        )
        ends = self._clock.monotonic() + START_S
        while not await answers(self.broker.bootstrap):
            if server.ended() is not None or self._clock.monotonic() > ends:
                raise DemoFault("Apache Kafka does not start", server.log)
            await self._clock.sleep(LOOK_S)

    def stop(self) -> None:
        """End it in order. Harmless when repeated."""
        if self._server is not None:
            self._server.stop()
