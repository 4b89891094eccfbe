"""Running an approved plan: item by item, no faster than each biller takes, from where it was left."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.clock import Clock
from gateway.core.items import NotNow, Refusal
from gateway.core.replays import PeekReplay, Replayed, ReplayLetters, ReplaySeen
from gateway.core.rows import ReplayStep
from gateway.core.verdicts import ACTS
from gateway.ops.desk import Desk, entropy
from gateway.ops.shared import NotSo
from gateway.store.port import StoreBusy

SLICE, BATCH = 1_000, 50
BUSY_TRIES, BUSY_S = 40, 0.25
WAIT_S = 0.05
"""Where no biller takes more now: long enough that one commit does several items."""


class Pace:
    """Tokens of one biller: `rate` a second, a fifth of a second's at once."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate, self._most = rate, max(1.0, rate / 5)
        self._left, self._at = self._most, now

    def take(self, now: float) -> bool:
        """One token, if there is one now (s, monotonic)."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Runner:
    """Runs one plan under one deed. rates: requests a second by biller; what names none of them waits for nobody.

    Holds no more of the plan than SLICE items. outcomes: what became of the items of this run.
    """

    def __init__(
        self, desk: Desk, clock: Clock, rates: Mapping[str, int], *, plan_sha256: str, run_record: str
    ) -> None:
        self._desk, self._clock = desk, clock
        self._plan, self._record = plan_sha256, run_record
        self._paces = {biller: Pace(rate, clock.monotonic()) for biller, rate in rates.items()}
        self.outcomes: Counter[str] = Counter()

    async def run(self, done: Callable[[int], None]) -> None:
        """To the plan's end. done: told how many items were done now. Raises NotSo where it may not go on."""
        due: list[ReplayStep] = []
        while True:
            if not due:
                due = await self._next()
                if not due:
                    return
            batch = self._batch(due)
            if not batch:
                await self._clock.sleep(WAIT_S)
                continue
            taken = {step.number for step in batch}
            due = [step for step in due if step.number not in taken]
            done(await self._do(sorted(taken)))

    def _batch(self, due: Sequence[ReplayStep]) -> list[ReplayStep]:
        """What may go now: whatever does nothing, and of each biller as many as it takes."""
        now, batch = self._clock.monotonic(), list[ReplayStep]()
        spent: set[str] = set()
        for step in due:
            pace = self._paces.get(step.biller or "") if step.verdict_planned in ACTS else None
            if pace is not None and (step.biller in spent or not pace.take(now)):
                spent.add(str(step.biller))
                continue
            batch.append(step)
            if len(batch) == BATCH:
                break
        return batch

    async def _next(self) -> list[ReplayStep]:
        seen = await self._desk.look(PeekReplay(plan_sha256=self._plan, limit=SLICE))
        if not isinstance(seen, ReplaySeen):
            raise TypeError(type(seen).__name__)
        return seen.due

    async def _do(self, numbers: list[int]) -> int:
        item = ReplayLetters(plan_sha256=self._plan, run_record=self._record, numbers=numbers, entropy=entropy())
        reply = await self._ask(item)
        if isinstance(reply, Refusal):
            raise NotSo(f"stopped ({reply.slug}): {reply.detail}")
        if isinstance(reply, NotNow):
            raise NotSo("stopped: the plan is at its end, or another person runs it now")
        if not isinstance(reply, Replayed):
            raise TypeError(type(reply).__name__)
        self.outcomes.update(str(step.outcome) for step in reply.steps)
        return len(reply.steps)

    async def _ask(self, item: ReplayLetters) -> Any:
        """Again where the book is busy: an item that was done meanwhile is not done twice."""
        for _ in range(BUSY_TRIES):
            try:
                return await self._desk.run(item)
            except StoreBusy:
                await self._clock.sleep(BUSY_S)
        return await self._desk.run(item)
