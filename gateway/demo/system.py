"""The demo's processes: simulator, gateway, PostgreSQL and Kafka where asked for, and what provisions them."""

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from contracts.biller import Adapter
from contracts.clock import Clock
from contracts.money import Fen
from gateway.config import Config, build_env, load_config
from gateway.core.env import Env, local
from gateway.core.items import Kept, SetPrices
from gateway.demo.children import BIANMIN, Child, free_ports
from gateway.demo.faults import DemoFault
from gateway.demo.folder import Layout
from gateway.demo.kafka import Kafka
from gateway.demo.postgres import DATABASE, USER, Postgres
from gateway.ops.desk import Desk, open_desk
from gateway.ops.enrol import ms

START_S = 30.0
COMMAND_S = 60.0
RESTARTS = 10
PARTITIONS = "4"
FEE = Fen(100)
RATE_PPM = 15_000
QUICK_SERVICE = "broadband.bill"
"""Sold with a short send_before and an early reversal, so that the day need not last for minutes."""
RULE_AFTER_S = 5
QUICK_SEND_BEFORE_S = 5
QUICK_REVERSE_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Shop:
    """A station of the demo. terminal: its terminal.toml, relative to the installation."""

    code: str
    name: str
    deposit: Fen
    terminal: str


MAIN = Shop("33078200017", "示范便民服务站", Fen(500_000), "terminal.toml")
SMALL = Shop("33078200025", "桥头便民服务站", Fen(15_000), "stations/33078200025/terminal.toml")
"""Its deposit covers four top-ups of 30 yuan with their fees, and no fifth."""
KEYED = Shop("33078200033", "河滨便民服务站", Fen(20_000), "stations/33078200033/terminal.toml")
"""Loses the key it was provisioned with, and makes its next ones itself."""


CLUSTER = ("api", "api", "worker", "worker", "relay", "resolver", "sealer")
"""Roles of the gateway's processes where Kafka is between them: the two gateways share their ports."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the day runs on. engine: sqlite or postgres. bus: embedded or kafka. module: SoftHSM's, for USB keys; None
    where it is not installed."""

    engine: str
    bus: str
    module: Path | None = None

    @property
    def keys(self) -> str:
        """What the shop that makes its own keys keeps them in: softhsm or pem."""
        return "pem" if self.module is None else "softhsm"

    @property
    def roles(self) -> Sequence[str]:
        """Roles of the gateway's processes, one each."""
        return CLUSTER if self.bus == "kafka" else ("all",)


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the gateway as it runs now. admin: its port for health and metrics."""

    name: str
    role: str
    pid: int
    admin: int
    log: Path


def _allowed(admin_port: int) -> bool:
    """Whether the process with this admin port may make calls to a biller now."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=2) as page:
            found = re.findall(rb"^bianmin_allowed_calls\{.*\} ([0-9.]+)$", page.read(), re.MULTILINE)
    except OSError:
        return False
    return any(float(calls) > 0 for calls in found)


class System:
    """Everything that runs. Use it as `async with System(…)`; leaving ends every child."""

    def __init__(self, layout: Layout, ground: Ground, clock: Clock, adapters: Mapping[str, Adapter]):
        self.layout, self.ground, self.clock, self._adapters = layout, ground, clock, adapters
        self._simulator_port, self._tv_port, self._public, self._partner, *self._admin = free_ports(
            4 + len(ground.roles)
        )
        self._children: list[Child] = []
        self._gateway: list[Child] = []
        self._postgres: Postgres | None = None
        self._kafka: Kafka | None = None

    @property
    def biller_url(self) -> str:
        """The simulator's base address."""
        return f"http://127.0.0.1:{self._simulator_port}"

    @property
    def tv_url(self) -> str:
        """The base address of the TV platform's simulator."""
        return f"http://127.0.0.1:{self._tv_port}"

    @property
    def gateway_url(self) -> str:
        """Where terminals connect to."""
        return f"http://127.0.0.1:{self._public}"

    @property
    def admin_url(self) -> str:
        """Health and metrics of the first process of the gateway."""
        return f"http://127.0.0.1:{self._admin[0]}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self._gateway:
            child.ask()
        for child in [*self._gateway, *reversed(self._children)]:
            child.stop()
        if self._kafka is not None:
            self._kafka.stop()
        if self._postgres is not None:
            self._postgres.stop()

    def healthy(self) -> None:
        """Raises DemoFault naming the log of a child that has ended by itself."""
        for child in [*self._children, *self._gateway]:
            if (code := child.ended()) is not None:
                raise DemoFault(f"{child.name} ended with exit code {code}", child.log)

    async def start_simulator(self) -> None:
        """The biller."""
        notices = f"http://127.0.0.1:{self._partner}/notices/telecom"
        command = ["sim", "telecom", "--port", str(self._simulator_port), "--book", str(self.layout.book)]
        child = self._start("simulator", *command, "--notice-url", notices)
        self._children.append(child)
        await child.wait_for(r"^listening on ", START_S)

    async def start_tv_simulator(self) -> None:
        """The TV platform, which tells nothing by itself: it is asked."""
        arguments = ["--port", str(self._tv_port), "--book", str(self.layout.tv_book)]
        child = self._start("simulator-tv", "sim", "tv", *arguments)
        self._children.append(child)
        await child.wait_for(r"^listening on ", START_S)

    async def start_postgres(self) -> None:
        """A cluster of its own."""
        self._postgres = Postgres(self.layout, self.clock)
        await self._postgres.start()

    async def start_kafka(self) -> None:
        """A broker of its own."""
        self._kafka = Kafka(self.layout, self.clock)
        await self._kafka.start()

    async def install(self) -> None:
        """`bianmin init`: configuration, pilot CA, database, first station; then the topics of the bus."""
        store: list[str] = []
        if self._postgres is not None:
            host = f"127.0.0.1:{self._postgres.port}"
            password = str(self._postgres.password_file)
            store = ["--engine", "postgresql", "--host", host, "--database", DATABASE, "--user", USER]
            store += ["--password-file", password]
        if self._kafka is not None:
            bootstrap = self._kafka.broker.bootstrap
            store += ["--bootstrap", bootstrap, "--partitions", PARTITIONS, "--replication", "1"]
        await self.command(
            "init",
            "init",
            str(self.layout.installation),
            *("--listen", f"127.0.0.1:{self._public}", "--partner-port", str(self._partner)),
            *("--admin-port", str(self._admin[0]), "--telecom-url", self.biller_url, "--tv-url", self.tv_url),
            *("--fee", FEE.to_yuan()),
            *("--station", MAIN.code, "--station-name", MAIN.name, *store),
        )
        text = self.layout.config.read_text(encoding="utf-8")
        text = text.replace("[bureau]\n", f"[bureau]\nrule_after_s = {RULE_AFTER_S}\n")
        # The day may be played in the biller's night: its simulator keeps no maintenance.
        self.layout.config.write_text(f"{text}\n[closed]\ntelecom = []\n", encoding="utf-8")
        if self._kafka is not None:
            await self.command("bus-init", "bus", "init", "--config", str(self.layout.config))

    async def publish_list(self) -> None:
        """`bianmin certs crl publish`: without a list in force no signature of the day proves anything."""
        await self.command("crl", "certs", "crl", "publish", "--config", str(self.layout.config))

    async def set_prices(self) -> None:
        """A newer tariff for QUICK_SERVICE; of one date the greatest version is in force."""
        async with self.desk() as (desk, env):
            facts = env.facts_of(QUICK_SERVICE)
            item = SetPrices(
                version="QUICK-DEMO",
                service=QUICK_SERVICE,
                effective_from=local(ms(self.clock.now()), env.zone).date().isoformat(),
                fee_fen=FEE.value,
                min_fen=facts.amount_min.value,
                max_fen=facts.amount_max.value,
                rate_ppm=RATE_PPM,
                send_before_s=QUICK_SEND_BEFORE_S,
                reverse_after_s=QUICK_REVERSE_AFTER_S,
            )
            reply = await desk.run(item)
            if not isinstance(reply, Kept):
                raise DemoFault(f"the demo's prices were refused: {reply}")

    async def start_gateway(self) -> None:
        """Serve, in as many processes as the ground asks for; beside each other they start in no order."""
        self._gateway = [self._launch(number) for number in range(len(self.ground.roles))]
        for number, child in enumerate(self._gateway):
            await self._until_serving(number, child)
        await self._until_dealt()

    def _launch(self, number: int) -> Child:
        role, arguments = self.ground.roles[number], ["serve", "--config", str(self.layout.config)]
        if role != "all":
            arguments += ["--role", role, "--admin-port", str(self._admin[number])]
        return self._start(self._name(number), *arguments)

    def _name(self, number: int) -> str:
        role = self.ground.roles[number]
        if role == "all":
            return "gateway"
        return role if self.ground.roles.count(role) == 1 else f"{role}-{number}"

    def processes(self) -> list[Process]:
        """Those of the gateway."""
        rows = enumerate(zip(self.ground.roles, self._gateway, self._admin, strict=True))
        return [Process(self._name(n), role, child.pid, admin, child.log) for n, (role, child, admin) in rows]

    def revive(self) -> list[tuple[Process, int]]:
        """Start again what has ended of the gateway, as a supervisor does; with the exit codes of what was before."""
        codes = {number: code for number, child in enumerate(self._gateway) if (code := child.ended()) is not None}
        for number in codes:
            self._gateway[number] = self._launch(number)
        found = self.processes()
        return [(found[number], code) for number, code in codes.items()]

    @property
    def bootstrap(self) -> str:
        """The broker's address; empty where there is none."""
        return "" if self._kafka is None else self._kafka.broker.bootstrap

    async def _until_dealt(self) -> None:
        """After a kill nobody may call the biller until the dead ones' part of it has ended."""
        ends = self.clock.monotonic() + START_S
        while not any([await asyncio.to_thread(_allowed, port) for port in self._admin]):
            if self.clock.monotonic() >= ends:
                raise DemoFault("no process may call the biller", self._gateway[0].log)
            await self.clock.sleep(0.1)

    async def _until_serving(self, number: int, child: Child) -> None:
        """After a kill the lock of the one before may be held for a moment."""
        for tries_left in reversed(range(RESTARTS)):
            try:
                await child.wait_for(r"^serving on ", START_S)
            except DemoFault:
                if not tries_left or "is served already" not in child.said():
                    raise
                await self.clock.sleep(0.2)
                child = self._gateway[number] = self._launch(number)
            else:
                return

    def kill_gateway(self) -> Sequence[int]:
        """kill -9 of every process of the gateway, in the middle of whatever they do. Their process ids."""
        for child in self._gateway:
            child.kill()
        return [child.pid for child in self._gateway]

    async def deposit(self, shop: Shop) -> None:
        """`bianmin station deposit`, beside the running gateway."""
        options = ["--voucher", f"DEMO-{shop.code}", "--outlet", "370001", "--by", "0001"]
        options += ["--config", str(self.layout.config)]
        name = f"deposit-{shop.code}"
        await self.command(name, "station", "deposit", shop.code, shop.deposit.to_yuan(), *options)

    async def command(
        self,
        name: str,
        *arguments: str,
        codes: tuple[int, ...] = (0,),
        stdin: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run one `bianmin` command to its end; what it said. Raises DemoFault naming its log."""
        child = self._start(name, *arguments, stdin=stdin, env=env)
        self._children.append(child)
        try:
            return await child.done(COMMAND_S, codes)
        finally:
            child.stop()
            self._children.remove(child)

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[tuple[Desk, Env]]:
        """The gateway's book, as commands use it."""
        config = self.config()
        env = build_env(config, self._adapters)
        async with open_desk(config, env) as desk:
            yield desk, env

    def config(self) -> Config:
        """The installation's configuration."""
        return load_config(self.layout.config, self._adapters)

    def _start(
        self, name: str, *arguments: str, stdin: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Child:
        command, log = [*BIANMIN, *arguments], self.layout.log(name)
        return Child(f"bianmin {arguments[0]}", command, log, self.clock, stdin=stdin, env=env)
