"""`GET /v1/bill-queries/{token}`, and what both operations on bill queries answer with."""

import msgspec

from contracts import api
from gateway.core.env import rfc3339
from gateway.core.items import Asked, Refusal
from gateway.core.rows import QueryToken
from gateway.core.views import PeekQuery, ViewQuery
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route
from gateway.http.masks import mask_address, mask_name


class _Bill(msgspec.Struct, frozen=True):
    """The biller's answer as the book keeps it, in full; masked here, before anybody sees it."""

    customer_name: str
    address: str
    bills: list[api.BillLine]


_bills = msgspec.json.Decoder(_Bill)
_refusals = msgspec.json.Decoder(Refusal)


async def show(call: Call) -> Answer:
    """The bill if the biller has answered; with `Prefer: wait` once it has."""
    item = ViewQuery(arrival=call.arrival, query_token=call.values["token"])
    found = await call.look(item, Asked)
    if isinstance(found, Refusal):
        return call.refuse(found)
    return await answered(call, found.query, call.wait_s or 0)


async def answered(call: Call, query: QueryToken, seconds: int) -> Answer:
    """Hold the call at most so long for the biller, then say what is known."""

    async def look() -> QueryToken | None:
        seen = await call.look(PeekQuery(query_token=query.query_token), Asked)
        return None if isinstance(seen, Refusal) else seen.query

    query = await call.holding.until(
        lambda seen: seen.state != "ASKED",
        query,
        seconds=seconds,
        wait=lambda left: call.services.waiters.wait(query.query_token, left),
        look=look,
    )
    if query.state == "REFUSED":
        return call.refuse(_refusals.decode(query.problem or b""))
    if call.services.clock.now().timestamp() * 1000 >= query.expires_at:
        return call.refuse(Refusal(slug="query-token-stale", detail="This bill query is too old: ask anew."))
    if query.state == "ANSWERED":
        return json_answer(200, _bill(query))
    pending = api.BillPending(query_token=query.query_token, expires_at=rfc3339(query.expires_at))
    return json_answer(202, pending, (("Location", f"/v1/bill-queries/{query.query_token}"),))


def _bill(query: QueryToken) -> api.BillAnswer:
    bill = _bills.decode(query.answer or b"")
    return api.BillAnswer(
        query_token=query.query_token,
        expires_at=rfc3339(query.expires_at),
        customer_name=mask_name(bill.customer_name),
        address=mask_address(bill.address),
        bills=bill.bills,
        total_fen=query.total_fen or 0,
        min_fen=query.min_fen or 0,
        max_fen=query.max_fen or 0,
    )


ROUTE = route("GET", "/v1/bill-queries/{token}", show)
