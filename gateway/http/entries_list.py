"""`GET /v1/account/entries`: movements of the prepaid account, newest first."""

import re

from contracts import api
from gateway.core.items import Refusal
from gateway.core.views import EntriesView, ViewEntries
from gateway.http import render
from gateway.http.answers import Answer, json_answer
from gateway.http.calls import Call, route
from gateway.http.problems import BadRequest

PAGE = 50
_CURSOR = re.compile(r"[1-9][0-9]{0,17}")


async def list_(call: Call) -> Answer:
    """One page; the cursor is the place of the last line of the page before."""
    view = await call.look(
        ViewEntries(arrival=call.arrival, before=_cursor(call.query.get("cursor")), limit=PAGE + 1), EntriesView
    )
    if isinstance(view, Refusal):
        return call.refuse(view)
    transactions = {transaction.txn_id: transaction for transaction in view.transactions}
    shown = view.postings[:PAGE]
    more = len(view.postings) > PAGE
    items = [render.entry(leg, transactions[leg.txn_id]) for leg in shown]
    return json_answer(200, api.EntryPage(items=items, next_cursor=str(shown[-1].seq) if more else None))


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    if not _CURSOR.fullmatch(text):
        raise BadRequest("malformed", "Not a cursor of this list.", "cursor")
    return int(text)


ROUTE = route("GET", "/v1/account/entries", list_)
