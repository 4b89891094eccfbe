"""`POST /v1/bill-queries`: what does this account owe?"""

from contracts.api import BillQueryRequest
from contracts.strict_json import canonical
from gateway.core.items import AskBill, Asked, Refusal
from gateway.http.answers import Answer
from gateway.http.bill_query_show import answered
from gateway.http.calls import Call, route
from gateway.http.payment_create import closed_for_s

WAIT_S = 20
"""How long a shop waits for a bill where it does not say."""


async def create(call: Call) -> Answer:
    """Keep the token, let the biller be asked, and wait for it a while."""
    body = call.body_as(BillQueryRequest)
    item = AskBill(
        arrival=call.arrival,
        service=body.service,
        biller_account=body.biller_account,
        params=canonical(body.params).decode(),
        closed_for_s=closed_for_s(call, body.service),
    )
    asked = await call.run(item, Asked)
    if isinstance(asked, Refusal):
        return call.refuse(asked)
    return await answered(call, asked.query, WAIT_S if call.wait_s is None else call.wait_s)


ROUTE = route("POST", "/v1/bill-queries", create)
