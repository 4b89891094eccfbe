"""`POST /v1/payments/{gateway_serial}/card-writes`: the terminal's word on a card write."""

from contracts.api import CardWriteRequest
from gateway.core.items import ReportWrite, Taken
from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.payment_show import under_key


async def report(call: Call) -> Answer:
    """Written, or not; repeatable after a failure, under a new key."""
    body = call.body_as(CardWriteRequest)
    item = ReportWrite(
        arrival=call.arrival,
        key=call.key,
        request_hash=call.request_hash,
        gateway_serial=call.values["gateway_serial"],
        written=body.result == "ok",
        card_data=body.card_data,
    )
    return await under_key(call, await call.decide(item, Taken))


ROUTE = route("POST", "/v1/payments/{gateway_serial}/card-writes", report)
