"""The composed gateway under test: seven processes on real PostgreSQL and Kafka, a biller of its own, and terminals.

Two gateways share their ports, two workers share the biller; relay, resolver and sealer are one each, unless a case
adds more. Any way between two parts can be led through a fault proxy: see `reroute`.
"""

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg

from certs.keys import PemSigner, load_certificate
from gateway.bus.kafka.config import KafkaConfig
from gateway.cli import run
from gateway.config import kafka_config, load_config
from tests.integration.bus.parts import set_bus
from tests.integration.faults.nursery import Birth, Nursery
from tests.integration.faults.traffic import Traffic
from tests.integration.http.shops import Shop
from tests.stand.clerks import both, say_here
from tests.stand.gateway import STATION, Known, Stand
from tests.stand.kafka import KafkaBroker, fresh_prefix
from tests.stand.ports import free_port
from tests.stand.postgres import PostgresServer
from tests.stand.standby import StandbyServer

ROLES = ("api", "api", "worker", "worker", "relay", "resolver", "sealer")
MORE_STATIONS = ("33078200025", "33078200033", "33078200041")
BOOK = "bianmin"
READY_S, END_S, DRAIN_S = 60.0, 10.0, 40.0
STARTS = 8


@dataclass(slots=True, eq=False)
class Member:
    """One process. config: its file; clock_s: how far its wall clock is off; pid 0: it does not run."""

    name: str
    role: str
    admin: int
    config: Path
    clock_s: int = 0
    crash_at: str = ""
    pid: int = 0


@dataclass(slots=True)
class Ground:
    """What a cluster stands on. standbys: servers that hold every commit, by address; second: the one to promote."""

    postgres: PostgresServer
    kafka: KafkaBroker
    standbys: Sequence[str] = ()
    second: StandbyServer | None = None
    kafka_inner: int = 0
    kafka_outer: int = 0
    """The broker's second listener, and the port that it tells its clients; a proxy listens there, or nobody."""


def proxied_listener(kafka: KafkaBroker) -> tuple[int, int]:
    """Give a broker that has not started a second listener, which is reached through a proxy; both ports."""
    inner, outer, broker = free_port(), free_port(), kafka.broker
    plain, control = f"PLAINTEXT://127.0.0.1:{broker.port}", f"CONTROLLER://127.0.0.1:{broker.controller}"
    kafka.configure(
        {
            "listeners": f"{plain},{control},PROXIED://127.0.0.1:{inner}",
            "advertised.listeners": f"{plain},PROXIED://127.0.0.1:{outer}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            "x.proxied.port": str(inner),
        }
    )
    return inner, outer


class Cluster(Stand):
    """See the module. Use as a context manager; nothing it started outlives it."""

    def __init__(self, folder: Path, ground: Ground) -> None:
        self.ground, self.server = ground, ground.postgres
        self.server.create_database(BOOK)
        store = {
            "engine": "postgresql", "hosts": [f"127.0.0.1:{self.server.port}"], "database": BOOK, "user": "postgres",
            "tls": "off", "standby_hosts": list(ground.standbys), "connections": 2, "readers": 1,
        }  # fmt: skip
        super().__init__(folder, store=store)
        self.members: list[Member] = []
        self.gone: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            super().__enter__()
            stack.callback(lambda: Stand.__exit__(self))
            set_bus(
                self.config_file, 'driver = "kafka"', f'bootstrap = ["{self.ground.kafka.bootstrap}"]',
                f'topic_prefix = "{fresh_prefix()}"', "partitions = 4", "replication = 1", "min_insync_replicas = 1",
            )  # fmt: skip
            self._raise_limits()
            self.command("bus", "init")
            self._add_stations()
            self._nursery = stack.enter_context(Nursery())
            self.traffic = stack.enter_context(Traffic())
            for number, role in enumerate(ROLES):
                self.add(role, f"{role}-{number}")
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.close()

    # the installation

    def command(self, *words: str) -> None:
        """`bianmin …` on this installation."""
        assert run([*words, "--config", str(self.config_file)]) == 0, words

    def add_station(self, code: str, name: str, operator: str) -> None:
        """`bianmin station add`, by the two people of this installation."""
        both(self.folder / "pilot", say_here, "station", "add", code, "--name", name, "--operator-name", operator)

    def _raise_limits(self) -> None:
        text = self.config_file.read_text(encoding="utf-8")
        self.config_file.write_text(text.replace("[http]\n", "[http]\nstation_per_s = 1000\nstation_burst = 1000\n"))

    def _add_stations(self) -> None:
        self.deposit("5000000", "V1")
        for code in MORE_STATIONS:
            self.add_station(code, f"站{code}", "李四")
            who = ("--outlet", "370001", "--by", "0001", "--voucher", f"V{code}")
            self.command("station", "deposit", code, "5000000", *who)

    def shops(self) -> list[Shop]:
        """A terminal of every station."""
        return [self.shop_of(code) for code in (STATION, *MORE_STATIONS)]

    def shop_of(self, code: str) -> Shop:
        """The terminal of one station."""
        pilot = self.folder / "pilot"
        known = Known(*(load_certificate(pilot / f"keys/{name}.cert.pem") for name in ("root", "issuing", "reply")))
        own = pilot / "stations" / code
        signer = PemSigner.load(own / "station.cert.pem", own / "station.key.pem", own / "station-key.password")
        return Shop(code, signer, known, self.public, authority=f"127.0.0.1:{self.public}")

    def bus_config(self) -> KafkaConfig:
        """How a test's own client reaches the topics."""
        return kafka_config(load_config(self.config_file, self.adapters))

    # the processes

    def add(self, role: str, name: str) -> Member:
        """One more process, not started."""
        member = Member(name, role, free_port(), self.config_file)
        self.members.append(member)
        return member

    def of(self, *roles: str) -> list[Member]:
        """The processes of these roles."""
        return [member for member in self.members if member.role in roles]

    def launch(self, member: Member) -> None:
        """Start it, and do not wait."""
        assert not member.pid, member.name
        member.pid = self._nursery.start(
            Birth(
                role=member.role,
                config=str(member.config),
                admin=member.admin,
                log=str(self.log_of(member)),
                crash_at=member.crash_at,
                clock_s=member.clock_s,
            )
        )

    def heal(self, seconds: float = READY_S) -> None:
        """Start what does not run, as a supervisor does, until every process says that it is ready."""
        until = time.monotonic() + seconds
        starts = 0
        while True:
            self.look()
            for member in self.members:
                if not member.pid:
                    starts += 1
                    assert starts < STARTS * len(self.members), f"{member.name} ends: {self.tail(member)}"
                    self.launch(member)
            late = [member for member in self.members if not self.is_ready(member)]
            if not late:
                return
            assert time.monotonic() < until, f"{late[0].name} is not ready: {self.tail(late[0])}"
            time.sleep(0.2)

    def look(self) -> None:
        """Notice who has ended by itself."""
        ended = self._nursery.ended()
        for member in self.members:
            if member.pid in ended:
                self.gone.append(f"{member.name}: {ended[member.pid]}")
                member.pid = 0

    def is_ready(self, member: Member) -> bool:
        """What /readyz says."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{member.admin}/readyz", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def metric(self, member: Member, name: str) -> float:
        """Sum over the labels of one of its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{member.admin}/metrics", timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def kill_all(self, members: Sequence[Member]) -> None:
        """kill -9, and wait for the ends."""
        for member in members:
            self.signal(member, signal.SIGKILL)
        self.await_end(members, END_S)

    def stop_all(self, members: Sequence[Member]) -> None:
        """SIGTERM, and wait for the drains; who does not end in time is a failure of its own."""
        for member in members:
            self.signal(member, signal.SIGTERM)
        self.await_end(members, DRAIN_S)

    def signal(self, member: Member, number: int) -> None:
        """One signal to one process that runs."""
        if member.pid:
            os.kill(member.pid, number)

    def await_end(self, members: Sequence[Member], seconds: float) -> None:
        """Until none of them runs."""
        until = time.monotonic() + seconds
        while not self.all_ended(members):
            assert time.monotonic() < until, f"{[m.name for m in members if m.pid]} do not end"
            time.sleep(0.02)

    def all_ended(self, members: Sequence[Member]) -> bool:
        """Whether none of them runs."""
        self.look()
        return not any(member.pid for member in members)

    def stopped(self, member: Member) -> bool:
        """Whether it stands still (SIGSTOP)."""
        state = Path(f"/proc/{member.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    def log_of(self, member: Member) -> Path:
        """Where it writes."""
        return self.folder / f"{member.name}.log"

    def tail(self, member: Member) -> str:
        """The end of its log."""
        file = self.log_of(member)
        return file.read_text(errors="replace")[-3000:] if file.exists() else "(nothing)"

    def reroute(self, members: Sequence[Member], changes: Mapping[str, str]) -> None:
        """Restart these processes with other addresses in their configuration; no changes: with the installation's."""
        self.stop_all(members)
        for member in members:
            text = self.config_file.read_text(encoding="utf-8")
            for old, new in changes.items():
                assert old in text, old
                text = text.replace(old, new)
            member.config = self.config_file.with_name(f"{member.name}.toml") if changes else self.config_file
            if changes:
                member.config.write_text(text, encoding="utf-8")
        self.heal()

    # the book

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Plain SQL beside the gateway, on the server that is the primary now."""

        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.server.dsn(BOOK))
            try:
                return [tuple(row) for row in await connection.fetch(text, *values)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def one(self, text: str, *values: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.sql(text, *values)
        return value

    def _await_writer(self) -> None:
        """There is none."""
