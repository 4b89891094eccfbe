"""`POST /v1/payment-inquiries`: what became of my request?"""

import msgspec

from contracts import api
from gateway.core.items import Inquire, Inquired, Refusal
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route
from gateway.http.problems import document


async def create(call: Call) -> Answer:
    """The payment, the kept problem, or a tombstone that is durable by now."""
    body = call.body_as(api.InquiryRequest)
    await call.deciding.settled(body.idempotency_key)
    found = await call.run(Inquire(arrival=call.arrival, key=body.idempotency_key), Inquired)
    if isinstance(found, Refusal):
        return call.refuse(found)
    if found.taken is not None:
        payment = call.show(found.taken)
        serial = found.taken.payment.gateway_serial
        return json_answer(200, api.Found(found=True, payment=payment), gateway_serial=serial)
    if found.refusal is not None:
        problem = msgspec.Raw(document(found.refusal, call.trace_id))
        return json_answer(200, api.Found(found=True, problem=problem))
    return json_answer(200, api.Found(found=False, tombstone=True))


ROUTE = route("POST", "/v1/payment-inquiries", create)
