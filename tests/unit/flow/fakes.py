"""A book that grants every claim and a biller that says what it is told, for tests of the shells alone."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from contracts.biller import PayOrder
from contracts.manifest import Manifest
from contracts.outcomes import Outcome, Paid
from contracts.states import OrderKind, OrderState, State
from gateway.clock import SystemClock
from gateway.core import items, rows
from gateway.core.env import Env
from gateway.flow.crash_points import CrashPoints
from gateway.flow.parts import Parts
from gateway.flow.task_group import TaskGroup
from gateway.store.port import Listener, Snapshot, StoreBusy
from tests.stand.billers import ACME

T = TypeVar("T")
Answers = Callable[[PayOrder], Awaitable[Outcome]]


def order_row(number: int, account: str) -> rows.Order:
    """A READY order."""
    serial = f"20261124{number:016d}"
    return rows.Order(
        order_serial=serial, gateway_serial=serial, kind=OrderKind.PAY, state=OrderState.READY, biller="acme",
        biller_account=account, partner_serial=serial, created_at=0, send_before=10**15, next_try_at=0,
    )  # fmt: skip


def payment_row(order: rows.Order) -> rows.Payment:
    """Its payment."""
    return rows.Payment(
        gateway_serial=order.gateway_serial, kind=OrderKind.PAY, state=State.SENT, version=2, institution_code="1",
        terminal_id="T", operator_id="1", terminal_trace="1", idempotency_key="k", service="acme.bill", biller="acme",
        biller_account=order.biller_account, amount_fen=1000, fee_fen=0, account_date="2026-11-24",
        settle_date="2026-11-24", accepted_at=0, send_before=10**15, tariff_version="V", commission_version="V",
        trace_id="0" * 32,
    )  # fmt: skip


class FakeBook:
    """Implements Store: grants claims of orders it knows, keeps evidence; `busy` is how often it says StoreBusy."""

    def __init__(self) -> None:
        self.orders: dict[str, rows.Order] = {}
        self.judged: list[items.Judge] = []
        self.claims: list[str] = []
        self.busy: deque[type[items.Item]] = deque()
        self._counter = itertools.count(1)

    async def run(self, item: Any) -> Any:
        await asyncio.sleep(0)
        if self.busy and isinstance(item, self.busy[0]):
            self.busy.popleft()
            raise StoreBusy("told to be busy")
        if isinstance(item, items.Claim):
            return self._claim(item)
        if isinstance(item, items.Judge):
            self.judged.append(item)
            order = self.orders[item.order_serial or ""]
            again = order if item.answer.kind == "NotSent" else None
            return items.Judged(known=True, effect="keep", payment=payment_row(order), again=again)
        raise AssertionError(item)

    def _claim(self, item: items.Claim) -> items.Granted:
        self.claims.append(item.order_serial)
        order = self.orders[item.order_serial]
        return items.Granted(
            attempt_id=f"t-{next(self._counter)}", attempt=1, order=order, payment=payment_row(order), original=None,
            bill_echo="{}", now=0, send_by=2000, call_deadline=1500,
        )  # fmt: skip

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def look(self, item: Any) -> Any: ...
    def listen(self, callback: Listener) -> None: ...
    def depth(self) -> int:
        return 0

    def lost(self) -> str | None:
        return None

    async def snapshot(self, use: Callable[[Snapshot], Awaitable[T]]) -> T:
        raise NotImplementedError


class FakeBiller:
    """Implements Biller; remembers how many calls ran at once, in all and per account."""

    def __init__(self, answers: Answers | None = None, manifest: Manifest = ACME) -> None:
        self._answers, self._manifest = answers or self._paid, manifest
        self.running: list[str] = []
        self.most, self.most_of_account, self.calls = 0, 0, 0

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def pay(self, order: PayOrder) -> Outcome:
        self.calls += 1
        self.running.append(order.biller_account)
        self.most = max(self.most, len(self.running))
        self.most_of_account = max(self.most_of_account, self.running.count(order.biller_account))
        try:
            return await self._answers(order)
        finally:
            self.running.remove(order.biller_account)

    async def _paid(self, order: PayOrder) -> Outcome:
        await asyncio.sleep(0.01)
        return Paid(biller_serial="B", paid=order.amount, resp_code="0000")


class Silent:
    """Implements Notes; keeps the names of what was noted."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.heard.append(name)


def make_parts(book: FakeBook) -> tuple[Parts, Silent]:
    """Parts around a fake book, on the real clock."""
    notes = Silent()
    parts = Parts(
        store=book,
        env=Env(zone=ZoneInfo("Asia/Shanghai"), manifests={"acme": ACME}),
        clock=SystemClock(),
        entropy=lambda: 1,
        crash=CrashPoints(None),
        tasks=TaskGroup(lambda name, error: notes.heard.append(f"{name} {error!r}")),
        note=notes,
        worker="w",
    )
    return parts, notes
