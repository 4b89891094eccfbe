"""The flow of one process: what its roles need of bus, relay, lanes and chores, opened and drained together."""

from collections.abc import Collection, Mapping

from contracts.biller import Biller, TakesNotices
from contracts.breaker import BreakerPolicy
from contracts.signer import Signer
from gateway.bus.port import Bus
from gateway.bus.relay import MISSED_AFTER_MS, Relay
from gateway.core.held import RELAY, RESOLVER, SEALER
from gateway.flow.allowances import Allowances
from gateway.flow.chores import Chores
from gateway.flow.closed_board import ClosedBoard
from gateway.flow.lane import Lane
from gateway.flow.leases import Leases
from gateway.flow.letters import Letters
from gateway.flow.notices import Notices
from gateway.flow.parts import Parts
from gateway.flow.requests import Requests
from gateway.flow.shares import make_shares
from gateway.flow.waiters import Waiters
from gateway.roles import EVERY, Role

DRAIN_MARGIN_S = 5
"""How much longer than the longest call a drain waits, so that no running call is left in doubt by it."""
BROUGHT_MS = 2_000
"""How long a bus of several processes is given to bring an order before a sweep offers it."""


class FlowEngine:
    """Everything between a committed acceptance and a final state that the roles of this process do.

    alone: no other process has this book open. board: where fronts forked beside this process read what is closed.
    archive: signs ended days, where there is one.
    """

    def __init__(
        self,
        parts: Parts,
        bus: Bus,
        billers: Mapping[str, Biller],
        *,
        roles: Collection[Role] = EVERY,
        alone: bool,
        policy: BreakerPolicy,
        board: ClosedBoard | None,
        archive: Signer | None,
    ) -> None:
        self._parts, self._bus, self._roles, self._alone = parts, bus, frozenset(roles), alone
        self._board, self._archive = board, archive
        calls, asks = Role.WORKER in roles, Role.RESOLVER in roles
        self.waiters = Waiters(parts.env.topic_prefix)
        self.notices = {
            name: Notices(name, biller, parts).take
            for name, biller in billers.items()
            if Role.API in roles and isinstance(biller, TakesNotices)
        }
        called = {name: biller for name, biller in billers.items() if calls or asks or name in self.notices}
        self._billers: Mapping[str, Biller] = called
        self.lanes = {
            name: self._lane(name, biller, policy, calls=calls, asks=asks)
            for name, biller in called.items()
            if calls or asks
        }
        self._leases = Leases(parts, self._jobs(), sole=alone)
        self._allowances: Allowances | None = None
        if self.lanes and not alone:
            shares = [share for lane in self.lanes.values() for share in lane.shares.values()]
            self._allowances = Allowances(parts, shares, lambda biller: self.lanes[biller].closed_for_s() * 1000)
        self._relay: Relay | None = None
        if Role.RELAY in roles:
            self._relay = self._make_relay()
        brought_ms = 0 if alone else BROUGHT_MS
        self._chores = Chores(parts, self.lanes, self._leases, calls=calls, brought_ms=brought_ms)

    def _lane(self, name: str, biller: Biller, policy: BreakerPolicy, *, calls: bool, asks: bool) -> Lane:
        manifest = self._parts.env.manifests[name]
        shares = make_shares(manifest, self._parts.clock, calls=calls, questions=asks, alone=self._alone)
        return Lane(biller, manifest, self._parts, policy=policy, shares=shares)

    def _jobs(self) -> list[str]:
        jobs = {Role.RELAY: RELAY, Role.RESOLVER: RESOLVER, Role.SEALER: SEALER}
        return [name for role, name in jobs.items() if role in self._roles]

    def _make_relay(self) -> Relay:
        parts = self._parts
        # Where every process does everything, each puts out its own; else those without a relay leave theirs to us.
        missed_after_ms = MISSED_AFTER_MS if self._roles == EVERY else 0
        return Relay(
            parts.store,
            self._bus,
            parts.clock,
            parts.crash,
            parts.tasks,
            lease=lambda: self._leases.held(RELAY),
            missed_after_ms=missed_after_ms,
        )

    @property
    def calls(self) -> bool:
        """Whether this process calls billers for payments."""
        return Role.WORKER in self._roles

    def closed_for_s(self, biller: str) -> int:
        """Seconds until this process may call the biller again; 0 while it may."""
        lane = self.lanes.get(biller)
        return lane.closed_for_s() if lane is not None else 0

    def leases(self) -> dict[str, bool]:
        """The jobs of this process's roles, and whether it is the one that does them now."""
        return {name: self._leases.held(name) is not None for name in self._jobs()}

    def now(self) -> float:
        """The flow's monotonic clock, as breakers and slots count."""
        return self._parts.clock.monotonic()

    async def sign_in(self) -> None:
        """Open every biller: keys are read, sessions begun; nothing is called yet."""
        for biller in self._billers.values():
            await biller.open()

    async def start(self) -> None:
        """Begin to take work."""
        roles = self._roles
        if Role.WORKER in roles:
            for name, lane in self.lanes.items():
                requests = Requests(self._billers[name], lane, self._parts)
                self._bus.on_request(name, requests.on_request, requests.room)
        if Role.API in roles:
            self._bus.on_result(self.waiters.on_result, self.waiters.wake_all)
        if Role.RELAY in roles:
            self._bus.on_dead(Letters(self._parts), lambda: self._leases.held(RELAY) is not None)
        await self._leases.open()
        if self._allowances is not None:
            await self._allowances.open()
        await self._bus.open()
        for lane in self.lanes.values():
            lane.start()
        if self._relay is not None:
            self._relay.start()
        self._start_chores()

    def _start_chores(self) -> None:
        if Role.WORKER in self._roles:
            self._chores.start_sweep(self._board)
        if self.lanes and self._alone:
            self._chores.start_limits()
        if Role.RESOLVER in self._roles:
            self._chores.start_questions()
        if Role.SEALER in self._roles:
            self._chores.start_seal(self._archive)

    async def close(self) -> None:
        """Take no new work, let running calls end and save their answers, hand over, then stop."""
        parts = self._parts
        for lane in self.lanes.values():
            lane.pause()
        await self._bus.leave()
        flows = [facts for manifest in parts.env.manifests.values() for facts in manifest.flows.values()]
        longest_s = max((facts.call_deadline_s for facts in flows), default=0)
        # Side by side: none of them begins anew, so each has had its time when the longest has.
        for name, seconds in (("call.", longest_s + DRAIN_MARGIN_S), ("question.", DRAIN_MARGIN_S), ("bill.", 1)):
            await parts.tasks.drain(name, seconds)
        if self._allowances is not None:
            await self._allowances.close()
        if self._relay is not None:
            await self._relay.flush()
        await self._bus.close()
        await parts.tasks.close()
        await self._leases.close()
        for biller in self._billers.values():
            await biller.close()
