"""`GET /v1/payments/{gateway_serial}`, and what every operation on payments answers with."""

from gateway.core.items import Refusal, Taken
from gateway.core.views import PeekPayment, ViewPayment
from gateway.http import render
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route


async def show(call: Call) -> Answer:
    """The payment as it is now; with `Prefer: wait` once it is final."""
    serial = call.values["gateway_serial"]
    found = await call.look(ViewPayment(arrival=call.arrival, gateway_serial=serial), Taken)
    if isinstance(found, Refusal):
        return call.refuse(found)
    found = await held(call, found)
    return json_answer(200, call.show(found))


async def held(call: Call, taken: Taken) -> Taken:
    """The payment after the wait the terminal asked for, or as soon as it is final."""
    if not call.wait_s:
        return taken
    serial = taken.payment.gateway_serial

    async def look() -> Taken | None:
        seen = await call.look(PeekPayment(gateway_serial=serial), Taken)
        return None if isinstance(seen, Refusal) else seen

    return await call.holding.until(
        lambda seen: render.is_final(seen.payment),
        taken,
        seconds=call.wait_s,
        wait=lambda seconds: call.services.waiters.wait(serial, seconds),
        look=look,
    )


async def under_key(call: Call, reply: Taken | Refusal) -> Answer:
    """The answer of an operation under an idempotency key: 201 when final, 202 when not."""
    if isinstance(reply, Refusal):
        return call.refuse(reply)
    taken = await held(call, reply)
    headers = [("Location", f"/v1/payments/{taken.payment.gateway_serial}")]
    if reply.replayed:
        headers.append(("Idempotent-Replayed", "true"))
    status = 201 if render.is_final(taken.payment) else 202
    return json_answer(status, call.show(taken), tuple(headers), gateway_serial=taken.payment.gateway_serial)


ROUTE = route("GET", "/v1/payments/{gateway_serial}", show)
