"""`GET /v1/account`: the station's prepaid balance."""

from gateway.core.items import Refusal
from gateway.core.views import AccountView, ViewAccount
from gateway.http import render
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route


async def show(call: Call) -> Answer:
    """Balances in fen."""
    view = await call.look(ViewAccount(arrival=call.arrival), AccountView)
    return call.refuse(view) if isinstance(view, Refusal) else json_answer(200, render.balance(view))


ROUTE = route("GET", "/v1/account", show)
