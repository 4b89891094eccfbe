"""What a scenario is given: shops' terminals, the biller's controls, our book, and the means to judge."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from contracts import api
from contracts.clock import Clock
from contracts.money import Fen
from contracts.states import State
from gateway.demo.biller import Biller, Fault
from gateway.demo.book import Book, Trace
from gateway.demo.expect import Expect, differences, money_of
from gateway.demo.faults import Mismatch
from gateway.demo.signed import SignedClient
from gateway.demo.system import MAIN, Shop, System
from gateway.terminal import Refused, Terminal, load_config

T = TypeVar("T")
WAIT_S = 45.0
"""Longest wait for a payment to get somewhere; the resolver's slowest way in the demo takes 32 s."""
LOOK_FIRST_S, LOOK_MAX_S = 0.2, 1.0
"""Between two looks: seldom enough that a dozen waiting stories cost next to nothing."""
CARRIER = {"carrier": "cmcc"}
FINAL = (State.SUCCESS, State.FAILED, State.REVERSED, State.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the summary. spent_fen, held_fen: what everything behind it did to the shop's prepaid account."""

    gateway_serial: str | None
    states: Sequence[str]
    evidence: str | None
    shop: str = MAIN.code
    spent_fen: int = 0
    held_fen: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Title:
    """name: for scripts; chinese, english: for people."""

    name: str
    chinese: str
    english: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story, with a row for each title. after: the moment of the day it waits for. faults: what the simulator
    shows for its accounts, from `biller_back` on (a story that is told earlier sets its own)."""

    rows: Sequence[Title]
    run: "Callable[[Stage], Awaitable[Sequence[Row]]]"
    faults: Sequence[Fault] = ()
    after: str = "biller_back"


@dataclass(slots=True)
class Moments:
    """Moments of the day that others wait for: the gateway is up again, the biller is back, a shop is open."""

    restarted: asyncio.Event = field(default_factory=asyncio.Event)
    biller_back: asyncio.Event = field(default_factory=asyncio.Event)
    small_shop: asyncio.Event = field(default_factory=asyncio.Event)
    keyed_shop: asyncio.Event = field(default_factory=asyncio.Event)


class Stage:
    """Shared by all scenarios; each opens terminals of its own."""

    def __init__(
        self,
        system: System,
        billers: Mapping[str, Biller],
        book: Book,
        clock: Clock,
        *,
        faults: Sequence[Fault],
        moments: Moments,
    ) -> None:
        self.system, self.billers, self.book, self.clock = system, billers, book, clock
        self.biller = billers["telecom"]
        """The one that most stories are about."""
        self.faults, self.moments = faults, moments
        self.balances: dict[str, Callable[[], Awaitable[api.AccountBalance]]] = {}
        """By institution code, where the shop's first key no longer speaks."""
        self._seen: dict[str, set[str]] = {}

    @asynccontextmanager
    async def terminal(self, name: str, shop: Shop = MAIN, *, held_s: int = 0) -> AsyncIterator[Terminal]:
        """A terminal of a shop, with a journal of its own. held_s: how long it lets the gateway hold a payment's call;
        a story that watches what happens meanwhile is answered at once."""
        layout = self.system.layout
        config = load_config(layout.installation / shop.terminal)
        config = replace(config, journal_file=str(layout.journal(name)), pay_wait_s=held_s)
        async with Terminal(config, self.clock) as terminal:
            yield terminal

    def signed(self, shop: Shop = MAIN) -> SignedClient:
        """A client that can send the same bytes twice."""
        return SignedClient(load_config(self.system.layout.installation / shop.terminal), self.clock)

    async def until(
        self, terminal: Terminal, gateway_serial: str, states: Sequence[str], seconds: float = WAIT_S
    ) -> api.Payment:
        """Ask as the shop does until the payment is in one of these states. Raises Mismatch where it does not get
        there in time, or ends elsewhere."""
        seen: list[str] = []

        async def look() -> api.Payment | None:
            payment = paid(await terminal.status(gateway_serial))
            self._note(payment)
            if not seen or seen[-1] != payment.state:
                seen.append(payment.state)
            need(payment.state in states or payment.state not in FINAL, "it has ended elsewhere")
            return payment if payment.state in states else None

        try:
            return await self.wait(look, seconds, "it gets nowhere")
        except Mismatch as why:
            wanted, path = " or ".join(states), " ".join(seen)
            raise Mismatch(f"{gateway_serial} must become {wanted}: {why}; the shop saw {path}") from None

    async def wait(self, look: Callable[[], Awaitable[T | None]], seconds: float, what: str) -> T:
        """Look until there is something. Raises Mismatch where there is nothing in time."""
        ends, pause_s = self.clock.monotonic() + seconds, LOOK_FIRST_S
        while (found := await look()) is None:
            if self.clock.monotonic() >= ends:
                raise Mismatch(f"{what}: not within {seconds:g} s")
            await self.clock.sleep(pause_s)
            pause_s = min(pause_s * 1.3, LOOK_MAX_S)
        return found

    async def judge(
        self,
        payment: api.Payment | str,
        expect: Expect,
        *,
        shop: Shop = MAIN,
        note: str = "",
        biller: str = "telecom",
    ) -> Row:
        """The payment's row, if book and biller say what they must. Raises Mismatch naming every difference."""
        if isinstance(payment, api.Payment):
            self._note(payment)
        serial = payment if isinstance(payment, str) else payment.gateway_serial
        trace = await self.book.trace(serial)
        wrong = list(differences(trace, expect, await self.billers[biller].book()))
        wrong += [f"the shop saw {state}, the book never was" for state in self._missed(trace)]
        if wrong:
            raise Mismatch(f"{serial}: " + "; ".join(wrong))
        return row_of(trace, shop=shop, note=note)

    def _note(self, payment: api.Payment) -> None:
        self._seen.setdefault(payment.gateway_serial, set()).add(payment.state)

    def _missed(self, trace: Trace) -> list[str]:
        return sorted(self._seen.get(trace.gateway_serial, set()) - set(trace.states))


def row_of(trace: Trace, *, shop: Shop = MAIN, note: str = "") -> Row:
    """A row about one payment."""
    money = money_of(trace)
    return Row(
        gateway_serial=trace.gateway_serial,
        states=trace.states,
        evidence=trace.evidence,
        shop=shop.code,
        spent_fen=money.spent,
        held_fen=money.held,
        note=note,
    )


def paid(answer: Any) -> api.Payment:
    """The answer as a payment. Raises Mismatch saying what came instead."""
    if isinstance(answer, api.Payment):
        return answer
    if isinstance(answer, Refused):
        raise Mismatch(f"refused with {answer.slug}: {answer.problem.detail}")
    raise Mismatch(f"no payment came back but {answer}")


def refused(answer: Any, slug: str) -> api.Problem:
    """The answer as a proven refusal of this kind. Raises Mismatch saying what came instead."""
    if isinstance(answer, Refused) and answer.slug == slug:
        return answer.problem
    raise Mismatch(f"must be refused with {slug}, but the answer is {answer}")


def need(ok: object, text: str) -> None:
    """Raises Mismatch unless it is so."""
    if not ok:
        raise Mismatch(text)


async def pay_bill(stage: Stage, terminal: Terminal, service: str, account: str, amount: Fen | None = None) -> Any:
    """Query a bill and pay it: its total, or another amount. The terminal's answer to the payment."""
    bill = await terminal.query_bill(service, account, CARRIER)
    if not isinstance(bill, api.BillAnswer):
        raise Mismatch(f"the bill of {account} is not to be had: {bill}")
    total = Fen(bill.total_fen) if amount is None else amount
    return await terminal.pay(service, account, total, params=CARRIER, query_token=bill.query_token)


async def top_up(terminal: Terminal, account: str, amount: Fen, **more: Any) -> Any:
    """Top a phone up. The terminal's answer."""
    return await terminal.pay("mobile.topup", account, amount, params=CARRIER, **more)
