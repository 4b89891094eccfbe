"""The whole platform behind the front door: book, business, faults, one call at a time from bytes to reply."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiohttp import web

from adapters.kit.book import BookLine, Journal, JournalBrokenError
from adapters.kit.control_routes import UndecidableError
from adapters.kit.delivery import deliver, prevented
from adapters.kit.faults import Fault, FaultBoard, Kind
from adapters.telecom.simulator import messages, staging
from adapters.telecom.simulator.bills import Bills
from adapters.telecom.simulator.clock import PlatformClock, Timers
from adapters.telecom.simulator.desk import Desk
from adapters.telecom.simulator.gate import Call, Gate, Limits
from adapters.telecom.simulator.messages import Answer
from adapters.telecom.simulator.notices import Notifier
from adapters.telecom.simulator.recon import Recon
from adapters.telecom.simulator.records import Book, Record, State, line_of
from adapters.telecom.simulator.topups import Orders, TopUps


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulator runs.

    host: where it listens; its control interface answers to loopback alone. port 0: any free one. book None: a
    temporary file. fixed_at: epoch seconds at which its clock stands still (plus the offset set over the control
    interface), None: real time. notice_url: where results of top-ups are told.
    """

    host: str = "127.0.0.1"
    port: int = 0
    book: Path | None = None
    notice_url: str | None = None
    fixed_at: int | None = None
    limits: Limits = field(default_factory=Limits)


class Platform:
    """Owns the book and everything that changes it. Calls of one event loop only."""

    def __init__(self, options: Options) -> None:
        self.clock = PlatformClock(options.fixed_at)
        self.timers = Timers(self.clock)
        self.board = FaultBoard(staging.SUPPORTED)
        self.journal = Journal(options.book)
        self.book = Book(self.journal)
        self.desk = Desk(self.book, self.clock, self.timers)
        self.gate = Gate(self.clock, options.limits)
        self.recon = Recon(self.book, self.journal, self.clock)
        self.notifier = Notifier(self.desk, self.board, options.notice_url)
        self.desk.on_final = self.notifier.final
        self.orders = Orders(self.desk)
        self.top_ups = TopUps(self.desk)
        self.bills: Bills

    def open(self) -> None:
        """Open the book and go on with what an earlier run left open. Raises sqlite3.Error."""
        self.journal.open()
        self.book.load()
        self.recon.load()
        self.bills = Bills(self.desk)
        self.desk.resume()
        self.notifier.open()

    async def close(self) -> None:
        """Stop what is under way and close the book. Raises JournalBrokenError where its end could not be written."""
        self.timers.close()
        await self.notifier.close()
        self.journal.close()

    async def durable(self) -> None:
        """As Journal.durable()."""
        await self.book.durable()

    def lines(self) -> Iterator[BookLine]:
        """The whole book."""
        return (line_of(record) for record in self.book)

    def decide(self, order_no: str, state: int, amount_fen: int | None) -> BookLine:
        """As Desk.decide(). Raises UndecidableError."""
        try:
            wanted = State(state)
        except ValueError:
            raise UndecidableError("state must be 2, 3 or 4") from None
        return line_of(self.desk.decide(order_no, wanted, amount_fen))

    def render(self, acct_date: str) -> bytes:
        """As Recon.render()."""
        return self.recon.render(acct_date)

    def issue(self, acct_date: str) -> tuple[int, int]:
        """As Recon.issue()."""
        issue = self.recon.issue(acct_date)
        return issue.issue, len(issue.body)

    def most_at_once(self) -> int:
        """As Gate.most_at_once."""
        return self.gate.most_at_once

    async def serve(self, request: web.BaseRequest, operation: str, raw: bytes) -> web.Response:
        """One business call that has passed the front door, with the fault it draws."""
        fault = self._draw(operation, raw)
        instead = await prevented(request, fault)
        if instead is not None:
            return instead
        call = self.gate.admit(operation, raw)
        try:
            said = call.refusal or await self._do(call, fault)
            await self.book.durable()
            response = staging.reply(self.gate, call, said, fault)
            return await deliver(request, response, fault)
        except JournalBrokenError:
            return web.Response(status=500)
        finally:
            self.gate.leave(call)

    async def _do(self, call: Call, fault: Fault | None) -> Answer:
        if fault is not None and fault.kind is Kind.SLOW:
            await asyncio.sleep(fault.delay_s)
        instead = staging.said_instead(call, fault)
        if instead is not None:
            return instead
        said = self._business(call, fault)
        if call.operation == messages.TOP_UP and said.code == "0000":
            await self._tell_first(call.members["orderNo"])
        return said

    def _business(self, call: Call, fault: Fault | None) -> Answer:
        assert call.agent is not None, "a call without an agent was refused"
        members, agent_no = call.members, call.agent.agent_no
        kind = None if fault is None else fault.kind
        decline = fault.code if fault is not None and kind is Kind.DECLINE else None
        match call.operation:
            case messages.BILL_QUERY:
                return self.bills.query(members)
            case messages.BILL_PAY:
                return self.bills.pay(members, agent_no, decline)
            case messages.BILL_REVERSE:
                return self.bills.reverse(members, agent_no)
            case messages.TOP_UP:
                return self.top_ups.order(members, agent_no, decline=decline, partial=kind is Kind.PARTIAL)
            case messages.ORDER_QUERY:
                return self.orders.query(members)
            case _:
                bend = {Kind.WRONG_AMOUNT: _one_fen_up, Kind.ABSENT: _first_missing}.get(kind) if kind else None
                return self.recon.ask(members, agent_no, bend)

    async def _tell_first(self, order_no: str) -> None:
        """End the order and send its notice before the reply goes out, where a fault asks for that."""
        record = self.book.newest(order_no)
        if record is None or not self.notifier.told_first(record):
            return
        if not record.final:
            self.desk.settle(record, record.plan_state, record.plan_charged)
        await self.notifier.tell_now(record)

    def _draw(self, operation: str, raw: bytes) -> Fault | None:
        if not self.board:
            return None
        account, number = staging.account_in(raw)
        if account is None and number is not None:
            record = self.book.newest(number)
            account = None if record is None else record.acc_no
        return self.board.take(operation, account, staging.CALL_KINDS)


def _one_fen_up(lines: list[Record]) -> list[Record]:
    return [msgspec.structs.replace(record, charged=record.charged + (not at)) for at, record in enumerate(lines)]


def _first_missing(lines: list[Record]) -> list[Record]:
    return lines[1:]
