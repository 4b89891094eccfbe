"""Bill queries: the token is kept before the biller is asked; the answer joins it (PAY-02)."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.manifest import Can
from contracts.serials import Serials
from gateway.core import messages
from gateway.core.admit import Admission, admit, record_request
from gateway.core.book import Book
from gateway.core.controls import read_controls, refuse_new
from gateway.core.env import Env, closed_for_s
from gateway.core.gates import check_form, check_open
from gateway.core.items import AnswerBill, AskBill, Asked, Kept, Refusal, Reply
from gateway.core.rows import QueryToken, StationService
from gateway.core.steps import Now, Read, Work

ASK_MS = 60_000
"""How long a bill query may wait for its biller before it is worthless."""


def ask_bill(items: Sequence[AskBill], env: Env) -> Work[list[Reply]]:
    """Begin a batch of bill queries. Replies: Asked (a message then asks the biller) or Refusal."""
    book = Book()
    admission = yield from admit(items, book)
    asking = [item for item in items if item.arrival.arrival_id not in admission.refusals]
    offers = {(str(admission.callers[i.arrival.arrival_id].institution_code), i.service) for i in asking}
    if offers:
        book.load((yield Read("station_services", sorted(offers))))
    redone = sorted({(_token_of(i, env),) for i in asking if i.arrival.arrival_id in admission.redone})
    if redone:
        book.load((yield Read("query_tokens", redone)))
    yield from read_controls({env.billers[i.service].name for i in asking if i.service in env.billers}, book)
    replies: list[Reply] = []
    for item in items:
        serials = Serials(admission.now, env.zone, item.arrival.entropy)
        reply = admission.refusals.get(item.arrival.arrival_id) or _decide(item, admission, book, env, serials)
        record = record_request(item.arrival, admission, serials, None)
        if record is not None:
            book.add(record)
        replies.append(reply)
    yield book.write()
    return replies


def _decide(item: AskBill, admission: Admission, book: Book, env: Env, serials: Serials) -> Reply:
    known = book.get(QueryToken, _token_of(item, env)) if item.arrival.arrival_id in admission.redone else None
    if known is not None:
        return Asked(query=known)  # this very arrival's own token: its commit's answer was lost
    caller, manifest = admission.callers[item.arrival.arrival_id], env.manifest_of(item.service)
    offer = book.get(StationService, caller.institution_code, item.service)
    if manifest is None or offer is None or offer.state != "OPEN":
        return Refusal(slug="service-not-open", detail="This service is not open at this station.", field="$.service")
    facts = manifest.flows[item.service]
    if Can.QUERY_BILL not in manifest.can:
        return Refusal(slug="service-not-open", detail="This biller answers no bill queries.", field="$.service")
    seconds = max(item.closed_for_s, closed_for_s(admission.now, env.zone, facts.closed_local))
    refusal = check_form(item.biller_account, item.params, facts)
    refusal = refusal or refuse_new(manifest.name, book, env, admission.now) or check_open(seconds)
    if refusal is not None:
        return refusal
    token = QueryToken(
        query_token=_token_of(item, env),
        state="ASKED",
        institution_code=str(caller.institution_code),
        service=item.service,
        biller=manifest.name,
        biller_account=item.biller_account,
        params=item.params,
        asked_at=admission.now,
        expires_at=admission.now + ASK_MS,
    )
    book.add(token)
    book.add(messages.bill_query(token, item.arrival.trace_id, serials.mint(), admission.now, env))
    return Asked(query=token)


def _token_of(item: AskBill, env: Env) -> str:
    """The same for the same arrival whenever it is decided; 64 bits that nobody can guess."""
    serials = Serials(item.arrival.created * 1000, env.zone, item.arrival.entropy)
    return f"{serials.mint()}{serials.bits():08x}"


def answer_bill(items: Sequence[AnswerBill], env: Env) -> Work[list[Reply]]:
    """Put billers' answers to their tokens; a token that is answered or too old stays as it is. Replies: Kept."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("query_tokens", sorted({(item.query_token,) for item in items}))))
    replies: list[Reply] = []
    for item in items:
        token = book.get(QueryToken, item.query_token)
        if token is None or token.state != "ASKED" or now >= token.expires_at:
            replies.append(Kept())
            continue
        valid_ms = env.facts_of(token.service).query_valid_s * 1000
        if item.problem is not None:
            refusal = Refusal(slug=item.problem, detail=item.detail, shop_text=item.shop_text)
            token = replace(token, state="REFUSED", problem=msgspec.json.encode(refusal))
        else:
            token = replace(
                token,
                state="ANSWERED",
                answer=item.answer,
                echo=item.echo,
                total_fen=item.total_fen,
                min_fen=item.min_fen,
                max_fen=item.max_fen,
                expires_at=now + valid_ms,
            )
        book.put(token)
        book.add(messages.bill_result(token, Serials(now, env.zone, item.entropy).mint(), now, env))
        replies.append(Kept(count=1))
    yield book.write()
    return replies
