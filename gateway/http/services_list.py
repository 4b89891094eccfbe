"""`GET /v1/services`: what this station may sell now."""

from gateway.core.items import Refusal
from gateway.core.views import ServicesView, ViewServices
from gateway.http import offers
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route


async def list_(call: Call) -> Answer:
    """Services with limits, fee and parameters."""
    view = await call.look(ViewServices(arrival=call.arrival), ServicesView)
    if isinstance(view, Refusal):
        return call.refuse(view)
    return json_answer(200, offers.services(view, call.services.env, call.services.closed_for_s))


ROUTE = route("GET", "/v1/services", list_)
