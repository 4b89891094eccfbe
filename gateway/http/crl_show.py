"""`GET /v1/crl/{issuer_keyid}`: the newest revocation list of one of our issuing CAs. Unsigned: its CA signed it."""

from gateway.core.revocations import ListView, PeekList
from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.problems import BadRequest

PKIX_CRL = "application/pkix-crl"
"""RFC 2585 s4.2."""


async def show(call: Call) -> Answer:
    """DER, also past its nextUpdate: whether it may still be relied on is the reader's to judge."""
    keyid = call.values["issuer_keyid"]
    # Of partners' CAs the book holds lists too; those are not ours to publish.
    ours = any(one.keyid == keyid for one in call.services.issuings)
    view = await call.services.store.look(PeekList(issuer_keyid=keyid)) if ours else None
    if not isinstance(view, ListView) or view.newest is None:
        raise BadRequest("not-found", "No revocation list of this authority.")
    return Answer(200, view.newest.der, PKIX_CRL)


ROUTE = route("GET", "/v1/crl/{issuer_keyid}", show)
