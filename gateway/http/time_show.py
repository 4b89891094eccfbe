"""`GET /v1/time`: for a terminal to set its clock by; unsigned, proves nothing."""

from contracts.api import TimeAnswer
from gateway.core.env import rfc3339
from gateway.core.items import Refusal
from gateway.core.views import DayView, PeekDay
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route


async def show(call: Call) -> Answer:
    """The database's clock and the bureau's open day."""
    day = await call.look(PeekDay(), DayView)
    if isinstance(day, Refusal):
        return call.refuse(day)
    return json_answer(200, TimeAnswer(now=rfc3339(day.now), account_date=day.account_date))


ROUTE = route("GET", "/v1/time", show)
