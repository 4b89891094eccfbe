"""`GET /v1/payments`: the station's payments, newest first."""

from datetime import date

from contracts import api
from contracts.serials import is_serial
from gateway.core.items import Refusal
from gateway.core.views import Page, ViewPayments
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route
from gateway.http.problems import BadRequest

PAGE = 20


async def list_(call: Call) -> Answer:
    """One page; the cursor is the last serial of the page before."""
    query = call.query
    limit = query.get("limit", PAGE)
    item = ViewPayments(
        arrival=call.arrival,
        before=_cursor(query.get("cursor")),
        limit=limit + 1,
        account_date=_day(query.get("account_date")),
        biller_account=query.get("biller_account"),
        state=query.get("state"),
    )
    page = await call.look(item, Page)
    if isinstance(page, Refusal):
        return call.refuse(page)
    shown = page.items[:limit]
    more = len(page.items) > limit
    return json_answer(
        200,
        api.PaymentPage(
            items=[call.show(taken) for taken in shown],
            next_cursor=shown[-1].payment.gateway_serial if more else None,
        ),
    )


def _cursor(text: str | None) -> str | None:
    if text is not None and not is_serial(text):
        raise BadRequest("malformed", "Not a cursor of this list.", "cursor")
    return text


def _day(text: str | None) -> str | None:
    if text is not None:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise BadRequest("malformed", "There is no such day.", "account_date") from None
    return text


ROUTE = route("GET", "/v1/payments", list_)
