"""`POST /v1/payments`: pay."""

from contracts.api import PaymentRequest
from contracts.strict_json import canonical
from gateway.core.items import Accept, Taken
from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.payment_show import under_key


async def create(call: Call) -> Answer:
    """Reserve the money and queue the order, or refuse; one commit."""
    body = call.body_as(PaymentRequest)
    item = Accept(
        arrival=call.arrival,
        key=call.key,
        request_hash=call.request_hash,
        service=body.service,
        biller_account=body.biller_account,
        amount_fen=body.amount_fen,
        terminal_trace=body.terminal_trace,
        params=canonical(body.params).decode(),
        query_token=body.query_token,
        confirm_repeat=body.confirm_repeat,
        cash_received_fen=body.cash_received_fen,
        closed_for_s=closed_for_s(call, body.service),
    )
    clock = call.services.clock
    begun = clock.monotonic()
    reply = await call.decide(item, Taken)
    call.services.accepted(reply, call.trace_id, clock.monotonic() - begun)
    return await under_key(call, reply)


def closed_for_s(call: Call, service: str) -> int:
    """Seconds for which this process sends nothing to the biller of a service; 0 also for a service nobody sells."""
    manifest = call.services.env.manifest_of(service)
    return 0 if manifest is None else call.services.closed_for_s(manifest.name)


ROUTE = route("POST", "/v1/payments", create)
