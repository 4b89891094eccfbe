"""The gateway as the conformance kit's Flow: real core, store file, lanes, chores, relay and notices, one adapter.

Two workers take turns, as two processes of an installation would: while a call of the first is held open, the second
goes on. Time stands still until advance(); the simulator's clock moves with it. Nothing is sent before settle().
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
from aiohttp import web

from adapters.kit.control import Control
from contracts.biller import Biller, TakesNotices
from contracts.breaker import BreakerPolicy
from contracts.manifest import BillModel, Manifest
from contracts.money import Fen
from contracts.ports import Seen
from contracts.states import OrderKind
from gateway.bus.embedded import EmbeddedBus
from gateway.bus.port import TAKEN, Verdict
from gateway.bus.relay import Relay
from gateway.core import items, views
from gateway.core.env import Env
from gateway.core.held import RELAY, RESOLVER, SEALER
from gateway.flow.chores import Chores
from gateway.flow.crash_points import CrashPoints
from gateway.flow.lane import Lane
from gateway.flow.leases import Leases
from gateway.flow.notices import Notices
from gateway.flow.parts import Parts
from gateway.flow.requests import Requests
from gateway.flow.task_group import TaskGroup
from gateway.flow.waiters import Waiters
from gateway.ops.audit.run import audit
from gateway.store.port import StoreError
from tests.stand import flow_audit
from tests.stand.flow_parts import FlowNotes, HandClock, LocalStore, Premises

ROUND_S = 0.01
ROUNDS_MAX = 200
"""A flow that has moved in so many rounds at one moment goes round in circles."""
QUIET_S = 0.03
"""How long nothing may move before a flow whose biller sends notices counts as settled: one may be on its way."""
BILL_S = 5
BILL_TRIES = 3
_CALLS = ("call.", "question.", "bill.")
_UNDOING = (OrderKind.REVERSE, OrderKind.CANCEL)


class NotTakenError(RuntimeError):
    """The flow refused a payment or bill query that a scenario needs."""


def env_of(manifest: Manifest) -> Env:
    """The environment of a flow with this one biller."""
    return Env(zone=ZoneInfo("Asia/Shanghai"), manifests={manifest.name: manifest})


@dataclass(frozen=True, slots=True)
class _Worker:
    lane: Lane
    requests: Requests
    chores: Chores
    leases: Leases


class Door:
    """The gateway's notice address over real HTTP, reduced to one handler."""

    def __init__(self) -> None:
        self.take: Callable[[dict[str, str], bytes], Awaitable[tuple[int, str, bytes]]] | None = None
        self.busy = 0
        self.taken = 0
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.2)
        self.url = ""

    async def open(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/notices"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self.take is None:
            return web.Response(status=503)
        self.busy += 1
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            status, content_type, body = await self.take(headers, await request.read())
        finally:
            self.busy -= 1
            self.taken += 1
        return web.Response(status=status, content_type=content_type, body=body)


class GatewayFlow:
    """contracts.ports.Flow. `async with` opens and closes it.

    biller: built, not opened. simulator_url: base address of its simulator, whose clock is moved with ours. env: the
    declared facts the flow goes by; by default the biller's own.
    """

    def __init__(
        self,
        folder: Path,
        biller: Biller,
        *,
        clock: HandClock,
        door: Door,
        simulator_url: str,
        provisioned: Path | None = None,
        env: Env | None = None,
    ) -> None:
        self.biller, self.clock, self.door = biller, clock, door
        self.manifest = biller.manifest
        self.env = env or env_of(self.manifest)
        self.house = Premises(folder, self.env, clock=clock, provisioned=provisioned)
        self.store = LocalStore(self.house.engine)
        self.notes = FlowNotes()
        self._simulator_url = simulator_url
        self._tasks = TaskGroup(self.notes.chore_failed)
        self._waiters = Waiters(self.env.topic_prefix)
        self._bus = EmbeddedBus(self.env.topic_prefix)
        self._relay = Relay(
            self.store,
            self._bus,
            clock,
            CrashPoints(None),
            self._tasks,
            lease=lambda: self._workers[0].leases.held(RELAY),
        )
        self._held: list[items.Message] = []
        self._moved_s = 0
        self._told_later = False
        self._stack = AsyncExitStack()
        self._control: Control
        self._workers = (self._make_worker("w-1"), self._make_worker("w-2"))

    def _make_worker(self, name: str) -> _Worker:
        parts = self._make_parts(name)
        lane = Lane(self.biller, self.manifest, parts, policy=BreakerPolicy())
        leases = Leases(parts, [RELAY, RESOLVER, SEALER], sole=True)
        chores = Chores(parts, {self.manifest.name: lane}, leases)
        return _Worker(lane, Requests(self.biller, lane, parts), chores, leases)

    def _make_parts(self, worker: str) -> Parts:
        return Parts(
            store=self.store,
            env=self.env,
            clock=self.clock,
            entropy=lambda: secrets.randbits(64),
            crash=CrashPoints(None),
            tasks=self._tasks,
            note=self.notes,
            worker=worker,
        )

    async def __aenter__(self) -> Self:
        stack = self._stack
        stack.callback(self.house.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        self._control = Control(self._simulator_url, session)
        await self.biller.open()
        stack.push_async_callback(self.biller.close)
        stack.push_async_callback(self._tasks.close)
        if isinstance(self.biller, TakesNotices):
            self.door.take = Notices(self.manifest.name, self.biller, self._make_parts("w-1")).take
            stack.callback(lambda: setattr(self.door, "take", None))
        self._bus.on_request(self.manifest.name, self._on_request)
        self._bus.on_result(self._waiters.on_result, self._waiters.wake_all)
        await self._bus.open()
        self._relay.start()
        for worker in self._workers:
            worker.lane.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # the port

    async def pay(self, service: str, biller_account: str, amount: Fen, params: dict[str, str]) -> str:
        text = json.dumps(params, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        token = None
        if self.env.facts_of(service).bill_model is BillModel.FETCH_PAY:
            token = await self._query_bill(service, biller_account, text)
        item = self.house.accept(
            service=service, biller_account=biller_account, amount_fen=amount.value, params=text, query_token=token
        )
        reply = await self.store.run(item)
        if not isinstance(reply, items.Taken):
            raise NotTakenError(str(reply))
        self._told_later |= isinstance(self.biller, TakesNotices) and bool(self.env.facts_of(service).ask_after_s)
        return reply.payment.gateway_serial

    async def cancel(self, gateway_serial: str) -> bool:
        item = self.house.keyed(items.Cancel, gateway_serial=gateway_serial, reason="顾客要求")
        try:
            reply = await self.store.run(item)
        except StoreError as error:
            self.notes.troubles.append(f"cancel of {gateway_serial} failed: {error}")
            return False
        await self._breathe()
        return isinstance(reply, items.Taken)

    async def reverse(self, gateway_serial: str) -> None:
        """Policy says: at once. Its age and the next look of the resolver are made due, the rest is the real way."""
        await self.advance(1)
        self.house.sql("UPDATE tariffs SET reverse_after_s = 1")
        where = "gateway_serial = ? AND kind = 'PAY' AND state = 'UNKNOWN'"
        self.house.sql(f"UPDATE orders SET ask_at = ? WHERE {where}", self.clock.now_ms, gateway_serial)
        worker = self._free_worker()
        await worker.leases.renew()
        await worker.chores.resolve()
        self.house.sql("UPDATE tariffs SET reverse_after_s = 0")
        await self._breathe()
        if (await self.seen(gateway_serial)).undo is None:
            raise NotTakenError(f"{gateway_serial} was not reversed")

    async def settle(self) -> None:
        moving = 0
        while moving < ROUNDS_MAX:
            before = self._activity()
            await self._round()
            if self._activity() != before:
                moving += 1
                continue
            if await self._calls_run():
                await asyncio.sleep(ROUND_S)
                continue
            if not self._told_later:
                return
            await asyncio.sleep(QUIET_S)
            if self._activity() == before and not self.door.busy:
                return
        self.notes.troubles.append("the flow never comes to rest")

    async def advance(self, seconds: int) -> None:
        # Ours first, then the partner's, then whoever slept: a call must not be signed with an old time, nor a
        # notice come from the future.
        self.clock.move(seconds)
        self._moved_s += seconds
        await self._control.clock(self._moved_s)
        self.clock.wake()
        await self._breathe()

    async def seen(self, gateway_serial: str) -> Seen:
        (seen,) = self._look("WHERE p.gateway_serial = ?", gateway_serial)
        return seen

    async def all_seen(self) -> list[Seen]:
        return self._look("ORDER BY p.gateway_serial")

    async def violations(self) -> list[str]:
        await self._workers[0].leases.renew()
        await self._workers[0].chores.seal(None)
        report = await audit(self.store, self.env, at_ms=self.clock.now_ms)
        found = [f"{c.name}: {v.about}: {v.detail}" for c in report.checks for v in c.violations]
        return [*self.notes.troubles, *found, *flow_audit.violations(self.house)]

    # the inside

    async def _query_bill(self, service: str, biller_account: str, params: str) -> str:
        """The token of an answered query; one without an answer is asked anew, as a shop would."""
        for _ in range(BILL_TRIES):
            ask = items.AskBill(
                arrival=self.house.arrival(), service=service, biller_account=biller_account, params=params
            )
            asked = await self.store.run(ask)
            if not isinstance(asked, items.Asked):
                raise NotTakenError(str(asked))
            token = asked.query.query_token
            await self._waiters.wait(token, BILL_S)
            now = await self.store.look(views.PeekQuery(query_token=token))
            if isinstance(now, items.Asked) and now.query.state == "ANSWERED":
                return token
        raise NotTakenError(f"no bill for {service}")

    def _on_request(self, message: items.Message) -> Verdict:
        kind = msgspec.json.decode(message.payload)["kind"]
        if kind == "bill-query":
            return self._free_worker().requests.on_request(message)
        self._held.append(message)
        return TAKEN

    def _free_worker(self) -> _Worker:
        return next((worker for worker in self._workers if not worker.lane.depth()), self._workers[-1])

    async def _round(self) -> None:
        held, self._held = self._held, []
        for message in held:
            self._free_worker().requests.on_request(message)
        worker = self._free_worker()
        await worker.leases.renew()
        await worker.chores.sweep()
        await worker.chores.resolve()
        await self._breathe()

    async def _breathe(self) -> None:
        """Let commits, messages and dispatching go through."""
        for _ in range(4):
            await asyncio.sleep(0)
        while self._relay.depth() or self.store.depth():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    async def _calls_run(self) -> bool:
        return not all([await self._tasks.drain(prefix, 0) for prefix in _CALLS])

    def _activity(self) -> tuple[int, int, int]:
        return self.store.moves, self.door.taken, len(self._held)

    def _look(self, where: str, *params: object) -> list[Seen]:
        columns = "p.gateway_serial, o.partner_serial, p.state, p.amount_fen, p.paid_fen, p.in_doubt_since"
        source = f"payments p JOIN orders o ON o.order_serial = p.gateway_serial {where}"
        return [self._as_seen(row) for row in self.house.sql(f"SELECT {columns} FROM {source}", *params)]

    def _as_seen(self, row: tuple[Any, ...]) -> Seen:
        serial, partner_serial, state, amount_fen, paid_fen, in_doubt_since = row
        undo = self.house.sql(
            "SELECT state FROM orders WHERE gateway_serial = ? AND kind IN (?, ?) ORDER BY order_serial DESC LIMIT 1",
            serial,
            *_UNDOING,
        )
        breaks = self.house.sql("SELECT code FROM breaks WHERE gateway_serial = ? AND state = 'OPEN'", serial)
        return Seen(
            gateway_serial=serial,
            partner_serial=partner_serial,
            state=state,
            amount=Fen(amount_fen),
            paid=None if paid_fen is None else Fen(paid_fen),
            in_doubt=in_doubt_since is not None,
            undo=undo[0][0] if undo else None,
            breaks=tuple(code for (code,) in breaks),
        )
