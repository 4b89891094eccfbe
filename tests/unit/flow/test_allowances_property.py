"""However processes come, renew, stand still, lose answers and die: never more calls than the biller takes.

The keepers, shares, units and claims are the real ones, over a real book; only time and the order of things are made.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import items, rows
from gateway.core.allowances import CALLS, Renew, shares_of
from gateway.flow.allowances import Allowances
from gateway.flow.shares import make_shares
from gateway.store.port import StoreBusy
from tests.stand.billers import ACME
from tests.stand.house import House
from tests.unit.flow.fakes import FakeBook, make_parts

SMALL = replace(ACME, concurrency=5, rate_per_s=4)
SIZE = shares_of(SMALL)[CALLS]
PAYMENTS, WORKERS = 90, 3


class HouseClock:
    """Every clock of every process is the book's: what processes think of time is their pauses."""

    def __init__(self, house: House) -> None:
        self._house = house

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._house.now / 1000, UTC)

    def monotonic(self) -> float:
        return self._house.now / 1000

    def boottime(self) -> float:
        return self._house.now / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the test moves everything itself")


class Wire(FakeBook):
    """One process's way to the book: what it asks waits until it is let through, its answer until it is let back."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Renew, asyncio.Future[Any]]] = []
        self.answered: list[tuple[Any, asyncio.Future[Any]]] = []

    async def run(self, item: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.asked.append((item, future))
        return await future


@dataclass
class Process:
    """One worker. slots: taken, by the name they were taken under. calls: granted. still: as under SIGSTOP."""

    name: str
    wire: Wire
    keeper: Allowances
    share: Any
    renewing: asyncio.Task[bool] | None = None
    slots: list[str] = field(default_factory=list)
    calls: list[items.Granted] = field(default_factory=list)
    still: bool = False


class World:
    def __init__(self, folder: Path) -> None:
        self.house = House(folder, manifests=[SMALL], durable=False)
        accepts = [self.house.accept(biller_account=f"40{number:04d}", amount_fen=100) for number in range(PAYMENTS)]
        self.ready = [self.house.order_of(reply.payment) for reply in self.house.batch(accepts)]
        self.clock = HouseClock(self.house)
        self.living: list[Process] = []
        self.dead: list[Process] = []
        self.took: list[float] = []
        self._count = 0

    def join(self) -> None:
        if len(self.living) == WORKERS:
            return
        self._count += 1
        wire = Wire()
        parts, _ = make_parts(wire)
        parts = replace(parts, clock=self.clock, worker=f"w{self._count}")
        shares = make_shares(SMALL, self.clock, questions=False, alone=False)
        keeper = Allowances(parts, list(shares.values()), lambda biller: 0)
        self.living.append(Process(parts.worker, wire, keeper, shares[CALLS]))

    async def step(self, kind: str, pick: int) -> None:
        if kind == "join":
            self.join()
        elif kind == "wait":
            self.house.now += pick
        elif kind in ("second", "moment"):
            self.house.now += 1000 if kind == "second" else 150
            for process in self.living:
                if not process.still:
                    await self._do("whole", process)
        elif self.living:
            process = self.living[pick % len(self.living)]
            if kind == "still":
                process.still = not process.still
            elif not process.still or kind in ("reach", "kill"):
                await self._do(kind, process)

    async def _do(self, kind: str, process: Process) -> None:
        """One thing; `whole`: a renewal to its end, and one more, as where there is something to give back."""
        for one in ("renew", "reach", "answer") * 2 if kind == "whole" else (kind,):
            getattr(self, f"_{one}")(process)
            for _ in range(3):
                await asyncio.sleep(0)

    def _renew(self, process: Process) -> None:
        if process.renewing is None or process.renewing.done():
            if process.renewing is not None and not process.renewing.cancelled():
                process.renewing.exception()
            process.renewing = asyncio.ensure_future(process.keeper.renew())

    def _reach(self, process: Process) -> None:
        """The book decides; its answer is under way."""
        while process.wire.asked:
            item, future = process.wire.asked.pop()
            process.wire.answered.append((self.house.batch([item])[0], future))

    def _answer(self, process: Process) -> None:
        while process.wire.answered:
            reply, future = process.wire.answered.pop()
            future.set_result(reply)

    def _lose(self, process: Process) -> None:
        """No answer: what was asked may have been done, or not."""
        lost = process.wire.asked + process.wire.answered
        process.wire.asked, process.wire.answered = [], []
        for _, future in lost:
            future.set_exception(StoreBusy("lost", in_doubt=True))

    def _take(self, process: Process) -> None:
        while process.share.try_take(self.clock.monotonic()):
            process.slots.append(process.share.holder)
            self.took.append(self.clock.monotonic())

    def _claim(self, process: Process) -> None:
        """What it took slots for; it may have stood still since."""
        names, process.slots = process.slots, []
        for name in names:
            reply = self._claimed(name) if self.ready else None
            if isinstance(reply, items.Granted):
                process.calls.append(reply)
                self.ready.pop()
            else:
                process.share.release()

    def _claimed(self, name: str) -> Any:
        order = self.ready[-1]
        claim = items.Claim(
            gateway_serial=order.gateway_serial, order_serial=order.order_serial, worker=name,
            entropy=self.house.entropy(), share=CALLS,
        )  # fmt: skip
        return self.house.batch([claim])[0]

    def _end(self, process: Process) -> None:
        """One call is over."""
        if process.calls:
            granted = process.calls.pop(0)
            process.share.release()
            self.house.batch([self.house.reply_of(granted, "Unknown")])

    def _kill(self, process: Process) -> None:
        self.living.remove(process)
        self.dead.append(process)
        if process.renewing is not None:
            process.renewing.cancel()

    def _bury(self, _: Process) -> None:
        """Calls of the dead are found to be over."""
        for process in self.dead:
            for granted in process.calls[:1]:
                process.calls.remove(granted)
                self.house.batch([self.house.reply_of(granted, "Unknown")])

    def check(self) -> None:
        flying = len(self.house.rows_of(rows.Order, "in_flight = 1"))
        assert flying <= SIZE.concurrency
        good = [process.share.limits() for process in self.living if process.share.good()]
        assert sum(size.concurrency for size in good) <= SIZE.concurrency
        assert sum(size.rate_per_s for size in good) <= SIZE.rate_per_s
        for at in self.took:
            assert sum(at <= other < at + 1.0 for other in self.took) <= SIZE.rate_per_s


CHANCES = {
    "join": 8,
    "second": 14,
    "moment": 10,
    "wait": 6,
    "still": 5,
    "kill": 1,
    "whole": 10,
    "renew": 6,
    "reach": 6,
    "answer": 6,
    "lose": 1,
    "take": 14,
    "claim": 14,
    "end": 12,
    "bury": 6,
}
WAITS = (0, 1, 300, 900, 1_001, 4_002, 5_003)
STEPS = 350


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_never_more_than_the_biller_takes(seed: int) -> None:
    chance = random.Random(seed)

    async def play() -> None:
        with TemporaryDirectory() as folder:
            world = World(Path(folder))
            for kind in chance.choices(list(CHANCES), list(CHANCES.values()), k=STEPS):
                await world.step(kind, chance.choice(WAITS) if kind == "wait" else chance.randrange(WORKERS))
                world.check()
            for process in [*world.living, *world.dead]:
                if process.renewing is not None:
                    process.renewing.cancel()
                    await asyncio.gather(process.renewing, return_exceptions=True)
            world.house.close()

    asyncio.run(play())
