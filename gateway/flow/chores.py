"""The clocks of the house: sweep, resolver, sealer, forgetting. Each repeats; none decides about money by time."""

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from contracts.signer import Signer
from gateway.core.allowances import shares_of
from gateway.core.book import Book
from gateway.core.chores import ForgetOld, SignDay
from gateway.core.controls import ControlsView, PeekControls, limited
from gateway.core.held import RESOLVER, SEALER
from gateway.core.items import Kept, Question, Questions, Seal, Sealed, Sweep, Swept, TakeQuestions
from gateway.core.items_deeds import ExpireCertificates
from gateway.core.rows import Order
from gateway.flow.closed_board import ClosedBoard
from gateway.flow.crash_points import CrashPoint
from gateway.flow.lane import Lane
from gateway.flow.leases import Leases
from gateway.flow.parts import Parts

SWEEP_S = 1.0
BOARD_S = 0.2
LIMITS_S = 1.0
RESOLVE_S = 1.0
SEAL_S = 1.0
PURGE_S = 600.0
OVERLOOKED_MS = 10_000
"""An order that has waited for so long is offered by every worker, not only by the one whose turn its account is."""


class Chores:
    """Runs the repeating work of the roles worker, resolver and sealer.

    calls: whether orders are called here; else what is READY is left to the workers, who find it in the topic or by
    their sweep. brought_ms: how long a bus that brings orders from elsewhere is given before a sweep offers them.
    """

    def __init__(
        self, parts: Parts, lanes: Mapping[str, Lane], leases: Leases, *, calls: bool = True, brought_ms: int = 0
    ) -> None:
        self._parts, self._lanes, self._leases = parts, lanes, leases
        self._calls, self._brought_ms = calls, brought_ms
        self._seen = (0, "")

    def start_sweep(self, board: ClosedBoard | None) -> None:
        """The worker's. board: where fronts beside it read which billers are closed."""
        self._repeat("sweep", SWEEP_S, self.sweep)
        self._repeat("purge", PURGE_S, self.purge)
        if board is not None:
            told = board
            self._repeat("board", BOARD_S, lambda: self.tell_fronts(told))

    def start_limits(self) -> None:
        """Of a process that is alone: nobody deals it shares, so it looks itself what a person has set."""
        self._repeat("limits", LIMITS_S, self.limit)

    async def limit(self) -> bool:
        """The shares as wide as head office wants them, never wider than the manifest."""
        view = await self._parts.store.look(PeekControls())
        if not isinstance(view, ControlsView):
            raise TypeError(type(view).__name__)
        book = Book()
        book.load(view.controls.values())
        for lane in self._lanes.values():
            sizes = shares_of(limited(self._parts.env.manifests[lane.name], book))
            for name, share in lane.shares.items():
                share.limit(sizes[name])
        return False

    def start_questions(self) -> None:
        """The resolver's."""
        self._repeat("resolve", RESOLVE_S, self.resolve)

    def start_seal(self, archive: Signer | None) -> None:
        """The sealer's. archive: signs days that have ended; without it they stay unsigned."""
        self._repeat("seal", SEAL_S, lambda: self.seal(archive))

    def _repeat(self, name: str, seconds: float, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        async def turn() -> float:
            return 0 if await work() else seconds

        parts = self._parts
        parts.tasks.for_ever(
            f"chore.{name}",
            turn,
            parts.clock,
            again_s=(seconds,),
            failed=lambda _, error: parts.note.chore_failed(name, error),
        )

    async def tell_fronts(self, board: ClosedBoard) -> bool:
        """Let the other fronts know which billers the breakers hold closed."""
        for name, lane in self._lanes.items():
            board.close_for(name, lane.closed_for_s())
        return False

    async def sweep(self) -> bool:
        """End what is proven unsent and too old, mark overdue calls, offer what waits. True: there is more."""
        at, serial = self._seen
        item = Sweep(entropy=self._parts.entropy(), after_at=at, after_serial=serial)
        swept = await self._parts.store.run(item)
        self._parts.crash.reach(CrashPoint.SWEEP_AFTER_COMMIT)
        if not isinstance(swept, Swept):
            raise TypeError(type(swept).__name__)
        self._parts.note.swept(swept)
        for order in swept.ready:
            lane = self._lanes.get(order.biller)
            if lane is not None and self._is_ours(order, lane, swept.now):
                lane.offer_order(order)
        # A list that was full goes on where it ended; one that was not begins anew.
        full = len(swept.ready) >= item.limit
        self._seen = (swept.ready[-1].next_try_at or 0, swept.ready[-1].order_serial) if full else (0, "")
        return max(swept.expired, swept.overdue) >= item.limit

    def _is_ours(self, order: Order, lane: Lane, now: int) -> bool:
        """Among several workers an account is one's, so that they do not all claim the same orders."""
        among, waited_ms = lane.slots.among, now - (order.next_try_at or 0)
        if among == 1 or waited_ms >= OVERLOOKED_MS:
            return True
        turn = zlib.crc32(order.biller_account.encode()) % among
        return turn == lane.slots.place and waited_ms >= self._brought_ms

    async def resolve(self) -> bool:
        """Ask what is due and finds room; undo orders that may be repeated go to their lane. True: there is more."""
        under = self._leases.held(RESOLVER)
        if under is None:
            return False
        room = {name: lane.room_for_questions() for name, lane in self._lanes.items()}
        if not any(room.values()):
            return False
        item = TakeQuestions(entropy=self._parts.entropy(), room=room, under=under)
        taken = await self._parts.store.run(item)
        if not isinstance(taken, Questions):
            self._leases.moved(under)
            return False
        self._parts.crash.reach(CrashPoint.QUESTION_TAKEN)
        asking = []
        for question in taken.questions:
            lane = self._lanes[question.order.biller]
            asking.append(self._parts.tasks.start(f"question.{lane.name}", self._ask(lane, question)))
        for order in taken.repeats:
            self._lanes[order.biller].offer_order(order, repeat=True)
        if asking:
            await asyncio.wait(asking, timeout=RESOLVE_S, return_when=asyncio.FIRST_COMPLETED)
        return bool(asking)

    async def _ask(self, lane: Lane, question: Question) -> None:
        evidence = await lane.ask(question)
        if evidence is not None:
            self._parts.crash.reach(CrashPoint.QUESTION_ANSWERED)
            judged = await lane.save(evidence)
            if judged.again is not None and self._calls:
                lane.offer_order(judged.again)

    async def seal(self, archive: Signer | None) -> bool:
        """Chain new leaves; sign days that have ended."""
        under = self._leases.held(SEALER)
        if under is None:
            return False
        item = Seal(under=under)
        sealed = await self._parts.store.run(item)
        self._parts.crash.reach(CrashPoint.SEAL_AFTER_COMMIT)
        if not isinstance(sealed, Sealed):
            self._leases.moved(under)
            return False
        self._parts.note.sealed(sealed.count)
        for day, statement in sealed.unsigned if archive is not None else ():
            signature = archive.sign(statement) if archive is not None else b""
            keyid = archive.keyid if archive is not None else ""
            await self._parts.store.run(SignDay(day=day, keyid=keyid, signature=signature))
        return sealed.count >= item.limit

    async def purge(self) -> bool:
        """Forget old nonces, and what processes held that ended long ago; end certificates whose time ran out."""
        for item in (ForgetOld(), ExpireCertificates()):
            reply = await self._parts.store.run(item)
            if not isinstance(reply, Kept):
                raise TypeError(type(reply).__name__)
        return False
