"""`GET /v1/certificates/{keyid}`: the gateway's own reply and archive certificates. Unsigned: their CA signed them."""

from gateway.http.answers import Answer
from gateway.http.calls import Call, route
from gateway.http.problems import BadRequest

PEM_CHAIN = "application/pem-certificate-chain"
"""RFC 8555 s9.1."""


async def show(call: Call) -> Answer:
    """PEM: leaf, then issuer."""
    pem = await call.services.certificate_pem(call.values["keyid"])
    if pem is None:
        raise BadRequest("not-found", "No such reply or archive certificate.")
    return Answer(200, pem, PEM_CHAIN)


ROUTE = route("GET", "/v1/certificates/{keyid}", show)
