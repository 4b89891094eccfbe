"""The calling half of a gateway's process: real relay, lane and telecom adapter; the chores run when asked for."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.telecom import load_table
from adapters.telecom.adapter import Telecom
from adapters.telecom.config import Config
from contracts.breaker import BreakerPolicy
from gateway.bus.embedded import EmbeddedBus
from gateway.bus.relay import Relay
from gateway.clock import SystemClock
from gateway.core.env import Env
from gateway.core.held import RELAY, RESOLVER
from gateway.flow.chores import Chores
from gateway.flow.crash_points import CrashPoints
from gateway.flow.lane import Lane
from gateway.flow.leases import Leases
from gateway.flow.parts import Parts
from gateway.flow.requests import Requests
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Store
from tests.integration.interleavings.frames import Worker
from tests.stand.flow_parts import FlowNotes

NAME = "telecom"


@asynccontextmanager
async def calling(
    store: Store, env: Env, worker: Worker, crash: CrashPoints
) -> AsyncIterator[Callable[[None], Awaitable[None]]]:
    """Call the biller for what this store accepts. Gives one round of the resolver, to be run when asked for."""
    clock, notes = SystemClock(), FlowNotes()
    manifest = env.manifests[NAME]
    config = Config(base_url=worker.base_url, agent_no=worker.agent_no, sign_key_file=worker.key_file)
    biller = Telecom(config, clock, manifest=manifest, codes=load_table())
    tasks = TaskGroup(notes.chore_failed)
    parts = Parts(
        store=store,
        env=env,
        clock=clock,
        entropy=lambda: secrets.randbits(64),
        crash=crash,
        tasks=tasks,
        note=notes,
        worker="two",
    )
    lane = Lane(biller, manifest, parts, policy=BreakerPolicy())
    leases = Leases(parts, [RELAY, RESOLVER], sole=False)
    chores = Chores(parts, {NAME: lane}, leases)
    bus = EmbeddedBus(env.topic_prefix)
    bus.on_request(NAME, Requests(biller, lane, parts).on_request)

    async def resolve(_: None) -> None:
        await chores.resolve()
        await tasks.drain("question.", manifest.flows["mobile.bill"].call_deadline_s)

    async with AsyncExitStack() as stack:
        await biller.open()
        stack.push_async_callback(biller.close)
        stack.push_async_callback(tasks.close)
        await bus.open()
        lane.start()
        await leases.open()
        Relay(store, bus, clock, crash, tasks, lease=lambda: leases.held(RELAY)).start()
        yield resolve
    assert notes.troubles == []
