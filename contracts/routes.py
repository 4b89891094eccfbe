"""The routes of the terminal API (api s1): what each takes, answers and refuses. `openapi.json` is made from this
table, and the gateway's own routes are compared with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from contracts import api
from contracts.states import State

KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256 of the DER certificate")]
PageLimit = Annotated[int, Meta(ge=1, le=100, description="items on one page")]

BASE = "/v1"
"""Every path but the API's own description lies below it."""

SIGNING = ("signature-missing", "signature-invalid", "signature-expired")
"""Refusals of the signature itself."""
CALLER = ("certificate-unknown", "certificate-expired", "certificate-revoked", "certificate-not-bound")
"""Refusals of who signed."""
LOAD = ("too-many-requests", "overloaded", "internal")
"""Refusals that say nothing about the request."""
BODY = ("too-large", "unsupported-media-type", "nonce-replayed")
"""Refusals of requests with a body: none of them is a pure read, so each takes a nonce."""
KEYED = ("request-running", "tombstoned", "key-reused")
"""Refusals of requests under an idempotency key."""


class Sent(StrEnum):
    """Headers of replies. None of them is proven: the signature covers status and body only."""

    LOCATION = "Location"
    REPLAYED = "Idempotent-Replayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One successful reply. body: a struct of contracts.api, or None where `media_type` is no JSON of ours."""

    body: type[Any] | None
    says: str
    headers: tuple[Sent, ...] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path; `{name}` in the path is one segment, of the type `segments` gives.

    signed: under the signing profile. keyed: needs Idempotency-Key. waits: honours `Prefer: wait=N`.
    query: the query's members, all optional. problems: slugs beside those that `slugs` adds for every route alike.
    """

    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    segments: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    request: type[api.Request] | None = None
    signed: bool = True
    keyed: bool = False
    waits: bool = False
    problems: tuple[str, ...] = ()

    @property
    def operation(self) -> str:
        """A name for the operation, unique over the table: `post_v1_payments`."""
        return f"{self.method}{self.path}".lower().translate(str.maketrans("/-.{", "____", "}"))

    @property
    def slugs(self) -> tuple[str, ...]:
        """Every problem this route can answer with."""
        signed = ("malformed", *SIGNING, *CALLER, *LOAD) if self.signed else ("overloaded", "internal")
        body = BODY if self.request else ()
        return (*signed, *body, *(KEYED if self.keyed else ()), *self.problems)


_SERIAL = {"gateway_serial": api.Serial}
_PAYMENT_NOW = Answer(body=api.Payment, says="The payment as it is now.")
_UNDER_KEY = {
    201: Answer(
        body=api.Payment,
        says="The payment in a final state; a decided FAILED answers 201 too.",
        headers=(Sent.LOCATION, Sent.REPLAYED),
    ),
    202: Answer(
        body=api.Payment,
        says="The payment is taken and not final. It is not a failure.",
        headers=(Sent.LOCATION, Sent.REPLAYED),
    ),
}
_BILL = {
    200: Answer(body=api.BillAnswer, says="The bill; name and address are masked."),
    202: Answer(
        body=api.BillPending,
        says="The biller is slow: ask `GET /v1/bill-queries/{token}` again.",
        headers=(Sent.LOCATION,),
    ),
}
_BILL_REFUSALS = ("account-not-found", "query-token-stale", "biller-closed")

_BILLS = (
    Route(
        method="POST",
        path="/v1/bill-queries",
        summary="What does this account owe?",
        request=api.BillQueryRequest,
        answers=_BILL,
        waits=True,
        problems=(*_BILL_REFUSALS, "station-suspended", "operator-not-trained", "service-not-open"),
    ),
    Route(
        method="GET",
        path="/v1/bill-queries/{token}",
        summary="A bill query, answered or not.",
        segments={"token": api.Token},
        answers=_BILL,
        waits=True,
        problems=(*_BILL_REFUSALS, "not-found"),
    ),
)

_PAYMENTS = (
    Route(
        method="POST",
        path="/v1/payments",
        summary="Pay a bill or a top-up for a customer.",
        request=api.PaymentRequest,
        answers=_UNDER_KEY,
        keyed=True,
        waits=True,
        problems=(
            "station-suspended",
            "operator-not-trained",
            "service-not-open",
            "repeat-in-doubt",
            "insufficient-balance",
            "amount-out-of-range",
            "query-token-stale",
            "account-not-found",
            "biller-closed",
        ),
    ),
    Route(
        method="GET",
        path="/v1/payments",
        summary="The station's payments, newest first.",
        query={
            "account_date": api.DateText,
            "biller_account": api.Account,
            "state": State,
            "cursor": api.Cursor,
            "limit": PageLimit,
        },
        answers={200: Answer(body=api.PaymentPage, says="One page.")},
    ),
    Route(
        method="GET",
        path="/v1/payments/{gateway_serial}",
        summary="One payment.",
        segments=_SERIAL,
        answers={200: _PAYMENT_NOW},
        waits=True,
        problems=("not-found",),
    ),
    Route(
        method="POST",
        path="/v1/payment-inquiries",
        summary="What became of my request? Leaves a tombstone on a key that is free.",
        request=api.InquiryRequest,
        answers={
            200: Answer(body=api.Found, says="The payment, the problem the key was refused with, or a tombstone.")
        },
        problems=("request-running",),
    ),
    Route(
        method="POST",
        path="/v1/payments/{gateway_serial}/cancellations",
        summary="Take a payment back (撤销), or give one up that was not sent.",
        segments=_SERIAL,
        request=api.CancellationRequest,
        answers=_UNDER_KEY,
        keyed=True,
        waits=True,
        problems=("authorization-required", "station-suspended", "not-found", "state-conflict"),
    ),
    Route(
        method="POST",
        path="/v1/payments/{gateway_serial}/card-writes",
        summary="The terminal's word on a card write; repeatable after a failure.",
        segments=_SERIAL,
        request=api.CardWriteRequest,
        answers=_UNDER_KEY,
        keyed=True,
        problems=("not-found", "state-conflict"),
    ),
    Route(
        method="POST",
        path="/v1/payments/{gateway_serial}/refunds",
        summary="Give money back (退费): a payment of its own that waits for approval.",
        segments=_SERIAL,
        request=api.RefundRequest,
        answers=_UNDER_KEY,
        keyed=True,
        problems=("station-suspended", "not-found", "state-conflict", "amount-out-of-range"),
    ),
)

_STATION = (
    Route(
        method="GET",
        path="/v1/account",
        summary="The station's prepaid balance.",
        answers={200: Answer(body=api.AccountBalance, says="Balances in fen.")},
    ),
    Route(
        method="GET",
        path="/v1/account/entries",
        summary="Movements of the prepaid account, newest first.",
        query={"cursor": api.Cursor},
        answers={200: Answer(body=api.EntryPage, says="One page of lines, each with the balance after it.")},
    ),
    Route(
        method="GET",
        path="/v1/services",
        summary="What this station may sell now.",
        answers={200: Answer(body=api.ServiceList, says="Services with their limits, fee and parameters.")},
    ),
)

_UNSIGNED = (
    Route(
        method="GET",
        path="/v1/time",
        summary="The gateway's clock and open day.",
        signed=False,
        answers={200: Answer(body=api.TimeAnswer, says="Not signed: proves nothing.")},
    ),
    Route(
        method="GET",
        path="/v1/certificates/{keyid}",
        summary="A reply or archive certificate of the gateway.",
        segments={"keyid": KeyId},
        signed=False,
        answers={
            200: Answer(body=None, says="PEM: leaf, then issuer.", media_type="application/pem-certificate-chain")
        },
        problems=("not-found",),
    ),
    Route(
        method="GET",
        path="/v1/crl/{issuer_keyid}",
        summary="The newest revocation list of an issuing CA, by the keyid of its certificate.",
        segments={"issuer_keyid": KeyId},
        signed=False,
        answers={200: Answer(body=None, says="DER (RFC 5280 s5).", media_type="application/pkix-crl")},
        problems=("not-found",),
    ),
    Route(
        method="GET",
        path="/openapi.json",
        summary="This description.",
        signed=False,
        answers={200: Answer(body=None, says="OpenAPI 3.1.", media_type="application/json")},
    ),
)

ROUTES: tuple[Route, ...] = (*_BILLS, *_PAYMENTS, *_STATION, *_UNSIGNED)
"""The whole table. Top-ups, day-ends and receipts are not part of it yet: they answer `not-found`."""
