"""The clocks of the house: sweep, resolver, sealer, nonce purge. Each repeats; none decides about money by time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from contracts.signer import Signer
from gateway.core.items import (
    Kept,
    PurgeNonces,
    Question,
    Questions,
    Seal,
    Sealed,
    SignDay,
    Sweep,
    Swept,
    TakeQuestions,
)
from gateway.flow.closed_board import ClosedBoard
from gateway.flow.crash_points import CrashPoint
from gateway.flow.lane import Lane
from gateway.flow.parts import Parts

SWEEP_S = 1.0
BOARD_S = 0.2
RESOLVE_S = 1.0
SEAL_S = 1.0
PURGE_S = 600.0


class Chores:
    """Runs the repeating work of the roles worker, resolver and sealer."""

    def __init__(self, parts: Parts, lanes: Mapping[str, Lane], board: ClosedBoard, archive: Signer | None) -> None:
        self._parts, self._lanes, self._board, self._archive = parts, lanes, board, archive
        self._seen = (0, "")

    def start(self, *, sweep: bool = True, resolve: bool = True, seal: bool = True) -> None:
        """Begin."""
        if sweep:
            self._repeat("sweep", SWEEP_S, self.sweep)
            self._repeat("purge", PURGE_S, self.purge)
            self._repeat("board", BOARD_S, self.tell_fronts)
        if resolve:
            self._repeat("resolve", RESOLVE_S, self.resolve)
        if seal:
            self._repeat("seal", SEAL_S, self.seal)

    def _repeat(self, name: str, seconds: float, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        self._parts.tasks.start(f"chore.{name}", self._for_ever(name, seconds, work))

    async def _for_ever(self, name: str, seconds: float, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        while True:
            try:
                more = await work()
            except Exception as error:  # boundary: a chore that fails once must be done again, whatever it was
                self._parts.note.chore_failed(name, error)
                more = False
            if not more:
                await self._parts.clock.sleep(seconds)

    async def tell_fronts(self) -> bool:
        """Let the other fronts know which billers the breakers hold closed."""
        for name, lane in self._lanes.items():
            self._board.close_for(name, lane.closed_for_s())
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
            if lane is not None:
                lane.offer_order(order)
        # A list that was full goes on where it ended; one that was not begins anew.
        full = len(swept.ready) >= item.limit
        self._seen = (swept.ready[-1].next_try_at or 0, swept.ready[-1].order_serial) if full else (0, "")
        return max(swept.expired, swept.overdue) >= item.limit

    async def resolve(self) -> bool:
        """Ask what is due and finds room; undo orders that may be repeated go to their lane. True: there is more."""
        room = {name: lane.room_for_questions() for name, lane in self._lanes.items()}
        if not any(room.values()):
            return False
        item = TakeQuestions(entropy=self._parts.entropy(), room=room)
        taken = await self._parts.store.run(item)
        if not isinstance(taken, Questions):
            raise TypeError(type(taken).__name__)
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
            if judged.again is not None:
                lane.offer_order(judged.again)

    async def seal(self) -> bool:
        """Chain new leaves; sign days that have ended."""
        item = Seal(owner=self._parts.worker)
        sealed = await self._parts.store.run(item)
        self._parts.crash.reach(CrashPoint.SEAL_AFTER_COMMIT)
        if not isinstance(sealed, Sealed):
            return False  # another process holds the lease
        self._parts.note.sealed(sealed.count)
        for day, statement in sealed.unsigned if self._archive is not None else ():
            signature = self._archive.sign(statement) if self._archive is not None else b""
            keyid = self._archive.keyid if self._archive is not None else ""
            await self._parts.store.run(SignDay(day=day, keyid=keyid, signature=signature))
        return sealed.count >= item.limit

    async def purge(self) -> bool:
        """Forget old nonces."""
        reply = await self._parts.store.run(PurgeNonces())
        if not isinstance(reply, Kept):
            raise TypeError(type(reply).__name__)
        return False
