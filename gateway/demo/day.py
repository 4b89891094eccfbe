"""The day: set up, tell every story side by side, then compare the books and audit the whole."""

import asyncio
import json
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts import api
from contracts.clock import Clock
from gateway.demo.biller import Biller
from gateway.demo.book import Book
from gateway.demo.closing import close_day
from gateway.demo.faults import DemoFault, Mismatch
from gateway.demo.office import Office
from gateway.demo.proofs import Proof, prove
from gateway.demo.scenarios import DAY, tv
from gateway.demo.screen import Screen
from gateway.demo.stage import Moments, Row, Scenario, Stage, Title
from gateway.demo.system import KEYED, MAIN, SMALL, Shop, System

DEADLINE_S = 240.0
"""For everything: a demo that hangs is a demo that failed."""
PROOFS = ("payment", "day")
SHOWN = "usb-key-enrolled"
"""The story whose payment is proven to a stranger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row of the day, as it went. row None: it failed, for the reason in `failure`."""

    title: Title
    row: Row | None
    failure: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A biller's book beside ours, in fen; differences: orders on which they do not agree."""

    ours_fen: int
    theirs_fen: int
    differences: Sequence[str]

    @property
    def equal(self) -> bool:
        """To the fen, and order by order."""
        return self.ours_fen == self.theirs_fen and not self.differences


@dataclass(frozen=True, slots=True)
class Purse:
    """A shop's prepaid account: what the stories must have left, and what the gateway tells the shop."""

    shop: Shop
    spent_fen: int
    held_fen: int
    available_fen: int
    reserved_fen: int
    judged: bool = True

    @property
    def ok(self) -> bool:
        """Deposit, less what was spent and what is held, is what is there. Not judged where a story failed: what that
        one should have left is not known."""
        left = self.shop.deposit.value - self.spent_fen - self.held_fen
        return self.judged and (self.available_fen, self.reserved_fen) == (left, self.held_fen)


@dataclass(slots=True, kw_only=True)
class Result:
    """Everything that came of the day."""

    told: list[Told] = field(default_factory=list)
    books: dict[str, Compared] = field(default_factory=dict)
    purses: list[Purse] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=lambda: {"ok": False, "checks": []})
    proofs: list[Proof] = field(default_factory=list)
    account_date: str = ""
    elapsed_s: float = 0.0
    fault: str = ""

    @property
    def ok(self) -> bool:
        """Every story as it must be, books equal, balances right, audit sound, evidence proven."""
        stories = bool(self.told) and all(told.row is not None for told in self.told)
        money = bool(self.books) and all(book.equal for book in self.books.values())
        purses = bool(self.purses) and all(purse.ok for purse in self.purses)
        proofs = {proof.name for proof in self.proofs if proof.ok} == set(PROOFS)
        return stories and money and purses and proofs and bool(self.audit["ok"]) and not self.fault


class Day:
    """Runs once over a System."""

    def __init__(self, system: System, clock: Clock, screen: Screen, scenarios: Sequence[Scenario] = DAY) -> None:
        self._system, self._clock, self._screen, self._scenarios = system, clock, screen, scenarios
        self._moments = Moments()
        self._told: dict[str, Told] = {}
        self.result = Result()

    async def run(self) -> Result:
        """Set up, tell, compare. What stops it is in the result's `fault`; cancellation passes through."""
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._set_up()
                await self._tell()
        except TimeoutError:
            self.result.fault = f"the day was not over within {DEADLINE_S:g} s; see {self._system.layout.root / 'logs'}"
        except (DemoFault, Mismatch) as fault:
            self.result.fault = str(fault)
        titles = [title for scenario in self._scenarios for title in scenario.rows]
        never = [Told(title=title, row=None, failure="not over", elapsed_s=0) for title in titles]
        self.result.told = [self._told.get(one.title.name, one) for one in never] if self._told else []
        self.result.elapsed_s = round(self._clock.monotonic() - begun, 1)
        return self.result

    async def _set_up(self) -> None:
        system, step = self._system, self._screen.step
        wanted = []
        if system.ground.engine == "postgres":
            wanted.append(step("启动 PostgreSQL", "PostgreSQL on a free port", system.start_postgres()))
        if system.ground.bus == "kafka":
            wanted.append(step("启动 Apache Kafka", "Apache Kafka on a free port", system.start_kafka()))
        await together(*wanted)
        await together(
            step("启动收费单位模拟器", "the biller's simulator", system.start_simulator()),
            step("启动有线电视模拟器", "the TV platform's simulator", system.start_tv_simulator()),
            step("建立网关：配置、试点CA、数据库、服务站", "bianmin init", system.install()),
        )
        await step("公布吊销列表", "bianmin certs crl publish", system.publish_list())
        await step("设定演示资费", "prices for the demo", system.set_prices())
        await together(
            step(
                "启动网关", f"bianmin serve ×{len(system.ground.roles)}, {system.gateway_url}", system.start_gateway()
            ),
            step(f"预存款 {MAIN.deposit.to_yuan()} 元", "bianmin station deposit", system.deposit(MAIN)),
        )

    async def _tell(self) -> None:
        system = self._system
        faults = [fault for scenario in self._scenarios for fault in _common(scenario)]
        telecom, television = Biller(system.biller_url), Biller(system.tv_url)
        async with system.desk() as (desk, _), telecom, television:
            await television.set_faults(tv.FAULTS)
            billers = {"telecom": telecom, "tv": television}
            stage = Stage(system, billers, Book(desk), self._clock, faults=faults, moments=self._moments)
            self._screen.stories(len([title for scenario in self._scenarios for title in scenario.rows]))
            await together(*self._open_shops(), *(self._one(scenario, stage) for scenario in self._scenarios))
            self._screen.closing()
            system.healthy()
            for name in billers:
                await self._compare(stage, name)
            await self._look_at_purses(stage)
        day = await close_day(system, self._clock)
        shown = self._told[SHOWN].row
        subjects = {"day": day} | ({"payment": shown.gateway_serial or ""} if shown else {})
        await together(self._audit(), *(self._prove(name, subject) for name, subject in subjects.items()))

    async def _audit(self) -> None:
        config = str(self._system.layout.config)
        said = await self._system.command("audit", "audit", "--json", "--config", config, codes=(0, 1))
        self.result.audit = json.loads(said)

    async def _prove(self, name: str, subject: str) -> None:
        self.result.proofs.append(await prove(self._system, name, subject))

    def _open_shops(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Beside the running gateway, while the first stories are told."""
        return [self._open(SMALL, self._moments.small_shop), self._open(KEYED, self._moments.keyed_shop)]

    async def _open(self, shop: Shop, opened: asyncio.Event) -> None:
        words = ("station", "add", shop.code, "--name", shop.name, "--operator-name", "赵六")
        await Office(self._system, f"shop-{shop.code}").both("新站开业", *words)
        await self._system.deposit(shop)
        opened.set()

    async def _one(self, scenario: Scenario, stage: Stage) -> None:
        if scenario.after:
            await getattr(self._moments, scenario.after).wait()
        begun = self._clock.monotonic()
        rows: Sequence[Row | None] = [None] * len(scenario.rows)
        failure = ""
        with self._screen.running(scenario.rows[0]):
            try:
                rows = await scenario.run(stage)
            except (DemoFault, Mismatch) as wrong:
                failure = str(wrong)
            except Exception as wrong:  # boundary: one broken story is told as failed, the others go on
                failure = f"{type(wrong).__name__}: {wrong}; see {self._write_trace(scenario)}"
        elapsed_s = self._clock.monotonic() - begun
        for title, row in zip(scenario.rows, rows, strict=True):
            self._told[title.name] = Told(title=title, row=row, failure=failure, elapsed_s=elapsed_s)
            self._screen.told(title, row, failure, elapsed_s, self._system.layout)

    def _write_trace(self, scenario: Scenario) -> str:
        log = self._system.layout.log(f"story-{scenario.rows[0].name}")
        log.write_text(traceback.format_exc(), encoding="utf-8")
        return str(log)

    async def _compare(self, stage: Stage, biller: str) -> None:
        """Their book and ours: the sums, and every order for itself."""
        lines = await stage.billers[biller].book()
        ours = await stage.book.ordered(biller)
        theirs: dict[str, int] = {}
        for line in lines:
            theirs[line.order_no] = theirs.get(line.order_no, 0) + line.charged_fen
        wrong = [
            f"{number}: ours {owed.paid_fen}, theirs {theirs.get(number, 0)} fen ({owed.gateway_serial} {owed.state})"
            for number, owed in ours.items()
            if owed.paid_fen != theirs.get(number, 0)
        ]
        wrong += [f"{number}: theirs only, {fen} fen" for number, fen in theirs.items() if number not in ours and fen]
        charged = sum(line.charged_fen for line in lines)
        self.result.books[biller] = Compared(await stage.book.owed_fen(biller), charged, wrong)

    async def _look_at_purses(self, stage: Stage) -> None:
        rows = [told.row for told in self._told.values() if told.row is not None]
        for shop in (MAIN, SMALL, KEYED):
            if shop is KEYED and shop.code not in stage.balances:
                continue  # its story failed and is told; whoever could ask has no key
            balance = await (stage.balances[shop.code]() if shop is KEYED else self._balance(stage, shop))
            own = [row for row in rows if row.shop == shop.code]
            spent, held = sum(row.spent_fen for row in own), sum(row.held_fen for row in own)
            judged = len(rows) == len(self._told)
            self.result.purses.append(
                Purse(shop, spent, held, balance.available_fen, balance.reserved_fen, judged=judged)
            )

    async def _balance(self, stage: Stage, shop: Shop) -> api.AccountBalance:
        async with stage.terminal(f"purse-{shop.code}", shop) as terminal:
            balance = await terminal.balance()
            time = await terminal.gateway_time()
        if not isinstance(balance, api.AccountBalance) or not isinstance(time, api.TimeAnswer):
            raise Mismatch(f"the balance of {shop.code} is not to be had: {balance}")
        self.result.account_date = time.account_date
        return balance


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run them side by side; the first that fails ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _common(scenario: Scenario) -> Sequence[Any]:
    return scenario.faults if scenario.after == "biller_back" else ()
