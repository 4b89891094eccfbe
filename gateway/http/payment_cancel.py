"""`POST /v1/payments/{gateway_serial}/cancellations`: take back (撤销), or give up what was not sent."""

from contracts.api import CancellationRequest
from gateway.core.items import Cancel, Taken
from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.payment_show import under_key


async def cancel(call: Call) -> Answer:
    """Open the cancel order, or end an unsent payment at once."""
    body = call.body_as(CancellationRequest)
    item = Cancel(
        arrival=call.arrival,
        key=call.key,
        request_hash=call.request_hash,
        gateway_serial=call.values["gateway_serial"],
        reason=body.reason,
        authorization=body.authorization,
    )
    return await under_key(call, await call.decide(item, Taken))


ROUTE = route("POST", "/v1/payments/{gateway_serial}/cancellations", cancel)
