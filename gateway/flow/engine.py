"""The flow of one process: bus, relay, lanes and chores, opened and drained together."""

from collections.abc import Mapping

from contracts.biller import Biller, TakesNotices
from contracts.breaker import BreakerPolicy
from contracts.signer import Signer
from gateway.bus.port import Bus
from gateway.bus.relay import Relay
from gateway.flow.chores import Chores
from gateway.flow.closed_board import ClosedBoard
from gateway.flow.lane import Lane
from gateway.flow.notices import Notices
from gateway.flow.parts import Parts
from gateway.flow.requests import Requests
from gateway.flow.waiters import Waiters

DRAIN_MARGIN_S = 5
"""How much longer than the longest call a drain waits, so that no running call is left in doubt by it."""


class FlowEngine:
    """Everything between a committed acceptance and a final state, for the billers of this process."""

    def __init__(
        self,
        parts: Parts,
        bus: Bus,
        billers: Mapping[str, Biller],
        *,
        policy: BreakerPolicy,
        board: ClosedBoard,
        archive: Signer | None,
    ) -> None:
        self._parts, self._bus, self._billers = parts, bus, billers
        self.waiters = Waiters(parts.env.topic_prefix)
        self.lanes = {
            name: Lane(biller, parts.env.manifests[name], parts, policy=policy) for name, biller in billers.items()
        }
        self.notices = {
            name: Notices(name, biller, parts).take
            for name, biller in billers.items()
            if isinstance(biller, TakesNotices)
        }
        self.relay = Relay(parts.store, bus, parts.clock, parts.crash, parts.tasks)
        self.chores = Chores(parts, self.lanes, board, archive)

    def closed_for_s(self, biller: str) -> int:
        """Seconds until this biller may be called again; 0 while it may."""
        lane = self.lanes.get(biller)
        return lane.closed_for_s() if lane is not None else 0

    def now(self) -> float:
        """The flow's monotonic clock, as breakers and slots count."""
        return self._parts.clock.monotonic()

    async def sign_in(self) -> None:
        """Open every biller: keys are read, sessions begun; nothing is called yet."""
        for biller in self._billers.values():
            await biller.open()

    async def start(self) -> None:
        """Begin to take work."""
        for name, biller in self._billers.items():
            self._bus.on_request(name, Requests(biller, self.lanes[name], self._parts).on_request)
        self._bus.on_result(self.waiters.on_result)
        await self._bus.open()
        for lane in self.lanes.values():
            lane.start()
        self.relay.start()
        self.chores.start()

    async def close(self) -> None:
        """Take no new work, let running calls end and save their answers, then stop."""
        for lane in self.lanes.values():
            lane.pause()
        flows = [facts for manifest in self._parts.env.manifests.values() for facts in manifest.flows.values()]
        longest_s = max((facts.call_deadline_s for facts in flows), default=0)
        await self._parts.tasks.drain("call.", longest_s + DRAIN_MARGIN_S)
        await self._bus.close()
        await self._parts.tasks.close()
        for biller in self._billers.values():
            await biller.close()
