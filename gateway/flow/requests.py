"""Request messages become work: an order for its lane, a bill query for its biller."""

import asyncio
import json
from datetime import datetime

import msgspec

from contracts.biller import Bill, Biller, BillUnavailable, NoBill, QueriesBills
from contracts.bus import BillQueryMessage, UnreadableMessage, read_request
from gateway.bus.port import FULL, TAKEN, Dead, Dropped, Verdict
from gateway.core.items import AnswerBill, Asked, Message
from gateway.core.views import PeekQuery
from gateway.flow.answers import bill_query
from gateway.flow.lane import PENDING_MAX, Lane, Ref
from gateway.flow.parts import Parts
from gateway.store.port import StoreError

BILLS_AT_ONCE = 10
BILLS_WAITING = 500
KEPT = 4_000
"""Orders of one biller that a process keeps waiting before a bus holds its messages back. More than the calls any
biller is asked at once, and few enough that a worker who joins late still finds work in the topic."""


class Requests:
    """Takes one biller's request messages. Only the serials in them are believed."""

    def __init__(self, biller: Biller, lane: Lane, parts: Parts) -> None:
        self._biller, self._lane, self._parts = biller, lane, parts
        self._turns = asyncio.Semaphore(BILLS_AT_ONCE)
        self._waiting = 0

    def on_request(self, message: Message) -> Verdict:
        """Never blocks, never raises. An order that finds no room is left to the bus, or to the sweep."""
        try:
            request = read_request(message.payload)
        except UnreadableMessage as wrong:
            return Dead(wrong.reason, wrong.detail)
        if isinstance(request, BillQueryMessage):
            return self._take_query(request)
        if self._lane.depth() >= PENDING_MAX:
            return FULL
        self._lane.offer(Ref(request.gateway_serial, request.order_serial, message.key))
        return TAKEN

    def room(self) -> int:
        """How many more orders this process would keep waiting."""
        return KEPT - self._lane.depth()

    def _take_query(self, query: BillQueryMessage) -> Verdict:
        if self._waiting >= BILLS_WAITING:  # beyond it a query is lost; the terminal may ask anew
            return Dropped("bill-query-overflow")
        if self._parts.clock.now() >= datetime.fromisoformat(query.expires_at):
            return Dropped("bill-query-expired")
        self._waiting += 1
        self._parts.tasks.start(f"bill.{self._lane.name}", self._in_turn(query))
        return TAKEN

    async def _in_turn(self, message: BillQueryMessage) -> None:
        try:
            async with self._turns:
                if self._parts.clock.now() < datetime.fromisoformat(message.expires_at):
                    await self._answer(message)
        finally:
            self._waiting -= 1

    async def _answer(self, message: BillQueryMessage) -> None:
        """Ask the biller under its own limits, put the answer to the token."""
        parts, biller = self._parts, self._biller
        if not isinstance(biller, QueriesBills) or not await self._slot(message):
            return
        try:
            asked = await parts.store.look(PeekQuery(query_token=message.query_token))
            if not isinstance(asked, Asked) or asked.query.state != "ASKED":
                return
            facts = parts.env.facts_of(asked.query.service)
            async with asyncio.timeout(facts.call_deadline_s):
                bill = await biller.query_bill(bill_query(asked.query))
        except (StoreError, TimeoutError):
            return  # the terminal's call ends by its own time; the query may be asked anew
        except Exception as error:  # boundary: an adapter's bug answers nothing
            parts.note.adapter_failed(self._lane.name, message.query_token, error)
            return
        finally:
            self._lane.slots.release()
        answer = _as_item(bill, message.query_token, parts.entropy())
        if answer is not None:
            try:
                await parts.store.run(answer)
            except StoreError as error:
                parts.note.save_failed(self._lane.name, message.query_token, error)

    async def _slot(self, message: BillQueryMessage) -> bool:
        expires = datetime.fromisoformat(message.expires_at)
        while not self._lane.slots.try_take(self._parts.clock.monotonic()):
            if self._parts.clock.now() >= expires:
                return False
            await self._parts.clock.sleep(0.05)
        return True


def _as_item(bill: Bill | NoBill | BillUnavailable, query_token: str, entropy: int) -> AnswerBill | None:
    if isinstance(bill, NoBill):
        return AnswerBill(
            query_token=query_token,
            entropy=entropy,
            problem=bill.problem,
            detail=f"The biller answered {bill.resp_code}.",
            shop_text=bill.shop_text or None,
        )
    if isinstance(bill, BillUnavailable):
        return AnswerBill(
            query_token=query_token, entropy=entropy, problem="biller-closed", detail=f"No answer: {bill.cause}."
        )
    lines = [
        {"period": line.period, "amount_fen": line.amount.value, "penalty_fen": line.penalty.value}
        for line in bill.bills
    ]
    answer = {"customer_name": bill.customer_name, "address": bill.address, "bills": lines}
    return AnswerBill(
        query_token=query_token,
        entropy=entropy,
        answer=msgspec.json.encode(answer),
        echo=json.dumps(dict(bill.echo), ensure_ascii=False, sort_keys=True),
        total_fen=bill.total.value,
        min_fen=bill.min.value,
        max_fen=bill.max.value,
    )
