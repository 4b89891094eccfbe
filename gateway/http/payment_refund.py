"""`POST /v1/payments/{gateway_serial}/refunds`: give money back (退费) once a second person approves."""

from contracts.api import RefundRequest
from gateway.core.items import Refund, Taken
from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.payment_show import under_key


async def refund(call: Call) -> Answer:
    """Open the refund as a payment of its own."""
    body = call.body_as(RefundRequest)
    item = Refund(
        arrival=call.arrival,
        key=call.key,
        request_hash=call.request_hash,
        gateway_serial=call.values["gateway_serial"],
        amount_fen=body.amount_fen,
        reason=body.reason,
    )
    return await under_key(call, await call.decide(item, Taken))


ROUTE = route("POST", "/v1/payments/{gateway_serial}/refunds", refund)
