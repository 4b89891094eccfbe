"""Bills asked about beforehand, so that a run pays and does not query: the simulator and the book both know them."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence

import msgspec

from contracts.biller import Bill as FoundBill
from contracts.biller import BillQuery
from contracts.strict_json import canonical
from gateway.clock import SystemClock
from gateway.core.items import AnswerBill, AskBill, MarkPublished, TakeOutbox
from tests.bench import billers
from tests.bench.books import must
from tests.bench.engines import Book
from tests.bench.floor import arrival_of, read_signed
from tests.bench.installation import Installation
from tests.bench.requests import Bill, Order, make

SERVICE = "mobile.bill"
PARAMS = (("carrier", "cmcc"),)
ORDER = Order(service=SERVICE, first_account=0, params=PARAMS, wait_s=30)
AT_ONCE = 40


def accounts(count: int) -> list[str]:
    """Mobile numbers that the simulator knows nothing special about."""
    found: list[str] = []
    number = 15_000_000_000
    while len(found) < count:
        number += 1
        if number % 1000 != 404:
            found.append(str(number))
    return found


def prepare(house: Installation, book: Book, settings: Mapping[str, str], most: int, limit_s: float) -> list[Bill]:
    """Query the simulator and put tokens into the book, which nobody may be serving yet.

    At most so many bills, and no longer than limit_s for the queries.
    """
    found = asyncio.run(_query(settings, accounts(most), limit_s))
    numbers = list(found)
    signed = [read_signed(request) for request in make(house, ORDER, len(house.stations))]
    params = canonical(dict(PARAMS)).decode()
    asks = [
        AskBill(arrival=arrival_of(signed[at % len(signed)]), service=SERVICE, biller_account=account, params=params)
        for at, account in enumerate(numbers)
    ]
    tokens = [asked.query.query_token for asked in must(book.run(asks), "Asked")]
    answers = [_answer(token, bill, at) for at, (token, bill) in enumerate(zip(tokens, found.values(), strict=True))]
    must(book.run(answers), "Kept")
    # The relay would otherwise hand out these queries, long answered, during the run.
    while messages := book.run([TakeOutbox(older_than_ms=0)])[0].messages:
        must(book.run([MarkPublished(message_ids=[it.message_id for it in messages])]), "Kept")
    return [
        Bill(at % len(signed), account, token) for at, (account, token) in enumerate(zip(numbers, tokens, strict=True))
    ]


async def _query(settings: Mapping[str, str], numbers: Sequence[str], limit_s: float) -> dict[str, FoundBill]:
    adapter = billers.TELECOM
    biller = adapter.build(msgspec.convert(settings, adapter.config_type), SystemClock())
    found: dict[str, FoundBill] = {}
    waiting, until = list(numbers), time.monotonic() + limit_s

    async def work() -> None:
        while waiting and time.monotonic() < until:
            account = waiting.pop()
            query = BillQuery(service=SERVICE, institution_code="46000001", biller_account=account, params=dict(PARAMS))
            bill = await biller.query_bill(query)  # type: ignore[attr-defined]
            if not isinstance(bill, FoundBill):
                raise TypeError(f"no bill of {account}: {bill}")
            found[account] = bill

    await biller.open()
    try:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    finally:
        await biller.close()
    return found


def _answer(token: str, bill: FoundBill, entropy: int) -> AnswerBill:
    return AnswerBill(
        query_token=token,
        entropy=entropy,
        answer=b"{}",
        echo=json.dumps(dict(bill.echo), sort_keys=True),
        total_fen=bill.total.value,
        min_fen=bill.min.value,
        max_fen=bill.max.value,
    )
