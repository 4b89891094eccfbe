"""What a payment flow needs around it in a test: a clock moved by hand, a store in this process, an ear for notes."""

import asyncio
import heapq
import itertools
import random
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from contracts.breaker import BreakerState
from gateway.core import items
from gateway.core.env import Env
from gateway.core.leases import LeasesHeld
from gateway.store.migrations.upgrade import upgrade
from gateway.store.port import Listener, Snapshot, StoreError
from gateway.store.sqlite.engine import SqliteEngine
from gateway.store.sqlite.readers import take_snapshot
from tests.stand.house import NOON, UNITS_OF_THE_HOUSE, House

T = TypeVar("T")
DEPOSIT_FEN = 10_000_000


class HandClock:
    """contracts.clock.Clock that stands still until moved: now(), monotonic() and boottime() move together."""

    def __init__(self, start_ms: int = NOON) -> None:
        self.now_ms = start_ms
        self._start_ms = start_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)

    def monotonic(self) -> float:
        return (self.now_ms - self._start_ms) / 1000

    def boottime(self) -> float:
        return self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Until the clock has been moved so far and its sleepers were woken."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_ms + round(seconds * 1000), next(self._order), future))
        await future

    def move(self, seconds: int) -> None:
        """Move all three; sleepers go on only with `wake`, when everything else knows the new time."""
        self.now_ms += seconds * 1000

    def wake(self) -> None:
        """Let every sleeper go on whose time has come."""
        while self._sleepers and self._sleepers[0][0] <= self.now_ms:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class Premises(House):
    """A House for the facts of one adapter, whose book can be copied from one that is provisioned already."""

    def __init__(self, folder: Path, env: Env, *, clock: HandClock, provisioned: Path | None = None) -> None:
        self.clock = clock
        self.env = env
        self.random = random.Random(1)
        self._counter = itertools.count(1)
        self.path = folder / "book.db"
        if provisioned is None:
            upgrade(f"sqlite:///{self.path}")
        else:
            shutil.copyfile(provisioned, self.path)
        self.engine = SqliteEngine(self.path, UNITS_OF_THE_HOUSE, env, now_ms=lambda: self.now)
        self.engine.open()
        if provisioned is None:
            for service in self.env.billers:
                self.set_price(service, reverse_after_s=0)
            self.add_station(1)
            self.deposit(1, DEPOSIT_FEN)

    @property
    def now(self) -> int:  # type: ignore[override]
        """The book's clock is the flow's."""
        return self.clock.now_ms


def provision(folder: Path, env: Env) -> Path:
    """A closed book with one station, prices and a deposit, for Premises(provisioned=...)."""
    made = Premises(folder, env, clock=HandClock())
    made.close()
    return made.path


class LocalStore:
    """The Store port over an engine in this process: items of one loop turn share a commit, as with the writer."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine
        self._queue: list[tuple[Any, asyncio.Future[Any]]] = []
        self._listeners: list[Listener] = []
        self.moves = 0
        """How many commits changed something: two readings that agree mean that nothing moved."""

    async def open(self) -> None:
        """The engine is open already."""

    async def close(self) -> None:
        """Commit what is queued; the engine belongs to the caller."""
        self._commit()

    async def run(self, item: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._commit)
        self._queue.append((item, future))
        return await future

    async def look(self, item: Any) -> Any:
        return self._engine.look(item)

    def listen(self, callback: Listener) -> None:
        self._listeners.append(callback)

    def depth(self) -> int:
        return len(self._queue)

    def lost(self) -> str | None:
        return None

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        return await take_snapshot(self._engine.path, use)

    def _commit(self) -> None:
        queue, self._queue = self._queue, []
        if not queue:
            return
        batch = self._engine.execute([item for item, _ in queue])
        for (item, future), reply in zip(queue, batch.replies, strict=True):
            self.moves += _moved(item, reply)
            if future.done():
                continue
            if isinstance(reply, StoreError):
                future.set_exception(reply)
            else:
                future.set_result(reply)
        if batch.outbox:
            for tell in self._listeners:
                tell(batch.outbox)


def _moved(item: Any, reply: Any) -> bool:
    match reply:
        case items.Swept():
            return bool(reply.expired or reply.overdue)
        case items.Questions():
            return bool(reply.questions or reply.opened or reply.repeats)
        case items.NotNow() | items.Outbox() | items.Refusal() | LeasesHeld():
            return False
    return not isinstance(item, items.MarkPublished)


class FlowNotes:
    """gateway.flow.notes.Notes that keeps what must not happen, and every event for whoever looks."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.events: list[str] = []

    def call_ended(self, granted: items.Granted, answer: items.Answer, elapsed_s: float) -> None:
        self.events.append(f"call {granted.order.kind} {answer.kind} {answer.resp_code} {answer.cause}")

    def question_answered(self, question: items.Question, answer: items.Answer) -> None:
        self.events.append(f"question {question.order.kind} {answer.kind} {answer.resp_code} {answer.cause}")

    def judged(self, biller: str, evidence: items.Judge, judged: items.Judged) -> None:
        self.events.append(f"judged {evidence.source} {evidence.answer.kind} {judged.effect}")

    def breaker_moved(self, biller: str, was: BreakerState, now: BreakerState) -> None:
        """See Notes."""

    def swept(self, swept: items.Swept) -> None:
        if swept.expired or swept.overdue:
            self.events.append(f"swept expired={swept.expired} overdue={swept.overdue}")

    def sealed(self, count: int) -> None:
        self.events.append(f"sealed {count}")

    def claim_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        self.troubles.append(f"claim of {gateway_serial} failed: {error}")

    def save_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        self.troubles.append(f"evidence about {gateway_serial} could not be saved: {error}")

    def adapter_failed(self, biller: str, gateway_serial: str, error: Exception) -> None:
        self.troubles.append(f"the adapter raised over {gateway_serial}: {type(error).__name__}: {error}")

    def chore_failed(self, chore: str, error: BaseException) -> None:
        self.troubles.append(f"{chore} failed: {type(error).__name__}: {error}")
