"""A whole gateway for fault tests: installation, simulator process, and a `serve` that can be killed anywhere.

The gateway is forked from this warm process (8 ms instead of a second), with telecom's deadlines shortened so that
recovery is quick; `start(full=True)` starts the real command instead.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Self

import msgspec

from adapters.telecom import ADAPTER
from adapters.telecom.adapter import Telecom
from adapters.telecom.config import Config
from certs.certificates import Certificate
from certs.core.profile import Refused, ReplyHead, ReplyProof, verify_reply
from certs.keys import PemSigner, load_certificate
from contracts.biller import Adapter, PayOrder
from contracts.clock import Clock
from contracts.outcomes import Accepted, Outcome
from gateway.clock import SystemClock
from gateway.config import build_env, load_config
from gateway.init.make import make
from gateway.init.text import Plan
from gateway.ops.audit.report import Report
from gateway.ops.audit.run import audit_sqlite
from gateway.serve import Serving
from tests.integration.http.shops import Shop
from tests.stand.ports import free_port
from tests.stand.windows import never_closed

READY_S = 20.0
SETTLE_S = 240.0
STATION = "33078200017"
SECRET = "Tel-Test-Secret-01-0123456789abcdef"
CALL_DEADLINE_S = 3


@dataclass(frozen=True)
class Known:
    """Proves replies by the certificates of an installation's folder."""

    root: Certificate
    issuing: Certificate
    reply: Certificate

    def prove(self, status: int, headers: list[tuple[str, str]], body: bytes, field_: str) -> ReplyProof | Refused:
        """What a terminal makes of a reply."""
        return verify_reply(
            ReplyHead(status, headers, body),
            request_signature_field=field_,
            certificate=self.reply,
            issuings=(self.issuing,),
            root=self.root,
            now=datetime.now(UTC),
        )


class Hasty(Telecom):
    """Telecom that is asked about an accepted top-up after two seconds instead of sixty."""

    async def pay(self, order: PayOrder) -> Outcome:
        outcome = await super().pay(order)
        return replace(outcome, ask_after_s=2) if isinstance(outcome, Accepted) else outcome


def hasty_adapter() -> Adapter:
    """The telecom adapter with short deadlines: facts changed for tests, everything else as shipped."""
    flows = {
        name: replace(facts, call_deadline_s=CALL_DEADLINE_S, absent_final_after_s=8, query_min_interval_s=1)
        for name, facts in ADAPTER.manifest.flows.items()
    }
    manifest = replace(ADAPTER.manifest, flows=flows, rate_per_s=5000)

    def build(config: Config, clock: Clock) -> Hasty:
        from adapters.telecom import load_table

        return Hasty(config, clock, manifest=manifest, codes=load_table())

    return replace(ADAPTER, manifest=manifest, build=build)


def end(pid: int, number: int) -> int:
    """Send a signal to a child and wait for it; its exit status."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return 0


@dataclass
class Stand:
    """folder: of the installation; store, bus: its sections of the configuration, SQLite and embedded by default.

    Use as a context manager; nothing it started outlives it.
    """

    folder: Path
    fronts: int = 1
    store: Mapping[str, Any] | None = None
    bus: Mapping[str, Any] | None = None
    pid: int = 0
    simulator: "subprocess.Popen[str] | None" = None

    def __enter__(self) -> Self:
        self.public, self.admin, self.partner, self.platform = (free_port() for _ in range(4))
        self.adapters: Mapping[str, Adapter] = {"telecom": hasty_adapter()}
        plan = Plan(
            folder=self.folder / "pilot",
            bureau="试验局",
            listen=f"127.0.0.1:{self.public}",
            authority=f"127.0.0.1:{self.public}",
            admin_port=self.admin,
            partner_port=self.partner,
            store=self.store or {"engine": "sqlite", "path": "var/bianmin.db", "http_processes": self.fronts},
            bus=self.bus or {"driver": "embedded"},
            billers={
                "telecom": {
                    "base_url": f"http://127.0.0.1:{self.platform}",
                    "agent_no": "8801000123",
                    "sign_key_file": "secrets/telecom.key",
                }
            },
            secrets={"secrets/telecom.key": SECRET + "\n"},
            station=STATION,
            station_name="试验站",
            terminal="T1",
            operator="0001",
            operator_name="张三",
            staff=("甲", "乙"),
            fee_fen=100,
            rate_ppm=15_000,
        )
        make(plan, self.adapters, datetime.now(UTC))
        self.config_file = self.folder / "pilot" / "bianmin.toml"
        never_closed(self.config_file)
        self.start_simulator()
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self.kill()
        self.stop_simulator()

    # the simulator

    def stop_simulator(self) -> None:
        """The partner goes away."""
        simulator, self.simulator = self.simulator, None
        if simulator is not None:
            simulator.kill()
            simulator.communicate()

    def start_simulator(self) -> None:
        """The partner, with its durable book."""
        arguments = [
            sys.executable,
            "-m",
            "adapters.telecom.simulator",
            "--port",
            str(self.platform),
            "--book",
            str(self.folder / "platform.db"),
            "--notice-url",
            f"http://127.0.0.1:{self.partner}/notices/telecom",
            "--no-limits",
        ]
        self.simulator = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self.simulator.stdout is not None
        assert "listening" in self.simulator.stdout.readline()

    def control(self, path: str, body: Any = None) -> bytes:
        """Ask the simulator's control port."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.platform}/_control/{path}", data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer: bytes = reply.read()
        return answer

    def their_book(self) -> dict[str, int]:
        """What the partner charged, by order number, in fen; orders it did not book are left out."""
        charged: dict[str, int] = {}
        for line in self.control("book").splitlines():
            entry = json.loads(line)
            if entry["chargedFen"]:
                charged[entry["orderNo"]] = charged.get(entry["orderNo"], 0) + entry["chargedFen"]
        return charged

    # the gateway

    def start(
        self, *, crash_at: str | None = None, full: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `serve` and wait until it answers; with crash_at it may die before it does.

        environment: more variables for the real command (full).
        """
        more = {**(environment or {}), **({"BIANMIN_CRASH_AT": crash_at} if crash_at else {})}
        self.pid = self._start_full({**os.environ, **more}) if full else self._fork(crash_at)
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.pid = 0
                if crash_at and os.WIFSIGNALED(status):
                    return
                raise RuntimeError(f"serve ended with {status}: {self.log()[-2000:]}")
            if self._ready():
                return
            time.sleep(0.01)
        raise TimeoutError(f"serve was not ready in {READY_S} s: {self.log()[-2000:]}")

    def _start_full(self, environment: Mapping[str, str]) -> int:
        log = os.open(self.folder / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        command = [str(Path(sys.executable).with_name("bianmin")), "serve", "--config", str(self.config_file)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(environment))
        os.close(log)
        process.returncode = 0  # waited for by pid, as the forked one is
        return process.pid

    def _fork(self, crash_at: str | None) -> int:
        pid = os.fork()
        if not pid:
            self._child(crash_at)
        return pid

    def _child(self, crash_at: str | None) -> NoReturn:
        code = 3
        try:
            log = os.open(self.folder / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout = os.fdopen(1, "w", buffering=1)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            if crash_at:
                os.environ["BIANMIN_CRASH_AT"] = crash_at
            config = load_config(self.config_file, self.adapters)
            code = Serving(config, self.adapters, build_env(config, self.adapters), SystemClock()).run()
        finally:
            os._exit(code)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9, now."""
        end(self.pid, signal.SIGKILL)
        self.pid = 0
        self._await_writer()

    def stop(self) -> None:
        """SIGTERM: drain."""
        end(self.pid, signal.SIGTERM)
        self.pid = 0

    def died(self, seconds: float) -> bool:
        """Whether the gateway ends by itself within so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                self.pid = 0
                self._await_writer()
                return True
            time.sleep(0.01)
        return False

    def _await_writer(self) -> None:
        """Until the orphaned writer has let go of its lock (it notices its parent's death by itself)."""
        import fcntl

        with (self.folder / "pilot" / "var" / "bianmin.db.serve").open("a") as lock:
            until = time.monotonic() + 5
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    assert time.monotonic() < until, "the writer outlives its parent"
                    time.sleep(0.005)
                else:
                    return

    def log(self) -> str:
        """What serve wrote."""
        file = self.folder / "serve.log"
        return file.read_text(errors="replace") if file.exists() else ""

    # the shop and the book

    def shop(self) -> Shop:
        """The station's terminal."""
        keys, own = self.folder / "pilot" / "keys", self.folder / "pilot" / "stations" / STATION
        signer = PemSigner.load(own / "station.cert.pem", own / "station.key.pem", own / "station-key.password")
        known = Known(*(load_certificate(keys / f"{name}.cert.pem") for name in ("root", "issuing", "reply")))
        return Shop(STATION, signer, known, self.public, authority=f"127.0.0.1:{self.public}")

    def deposit(self, yuan: str, voucher: str) -> None:
        """Money for the station."""
        from gateway.cli import run

        command = ["station", "deposit", STATION, yuan, "--voucher", voucher, "--outlet", "370001", "--by", "0001"]
        assert run([*command, "--config", str(self.config_file)]) == 0

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the book beside the gateway."""
        path = self.folder / "pilot" / "var" / "bianmin.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return list(connection.execute(text, values))

    def undecided(self) -> int:
        """Payments that are in doubt or under way."""
        ((count,),) = self.sql("SELECT count(*) FROM payments WHERE final_at IS NULL")
        return int(count)

    def settle(self, seconds: float = SETTLE_S) -> None:
        """Wait until every payment is final: a question that a busy machine lost is asked again one and two minutes
        later."""
        until = time.monotonic() + seconds
        while self.undecided():
            assert time.monotonic() < until, self.sql(
                "SELECT gateway_serial, state, in_doubt_since FROM payments WHERE final_at IS NULL"
            )
            time.sleep(0.1)

    def our_book(self) -> dict[str, int]:
        """What we owe for, by the partner's number, in fen."""
        return dict(
            self.sql(
                "SELECT o.partner_serial, p.paid_fen FROM payments p JOIN orders o ON o.order_serial = p.gateway_serial"
                " WHERE p.state = 'SUCCESS'"
            )
        )

    def audit(self) -> Report:
        """The oracle."""
        config = load_config(self.config_file, self.adapters)
        return audit_sqlite(self.folder / "pilot" / "var" / "bianmin.db", build_env(config, self.adapters))

    def check(self) -> None:
        """Both books agree to the fen, and ours is sound."""
        report = self.audit()
        assert report.ok, msgspec.json.encode(report).decode()
        assert self.our_book() == self.their_book()


async def burst(shop: Shop, count: int, *, amount_fen: int = 1000, wait: int | None = None) -> dict[str, str]:
    """Send so many top-ups at once; per key the state a proven reply told, or "" where none came."""

    async def one(number: int) -> tuple[str, str]:
        key = f"burst-{time.monotonic_ns()}-{number:04d}"
        account = f"1390001{number:04d}"
        try:
            reply = await shop.pay(amount_fen, key=key, biller_account=account, wait=wait)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            return key, ""
        return key, reply.json.get("state", "") if reply.signed else ""

    return dict(await asyncio.gather(*(one(number) for number in range(count))))
