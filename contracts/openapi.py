"""`openapi.json`: OpenAPI 3.1 made from contracts.routes and contracts.api; nothing in it is written by hand twice."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from contracts import api
from contracts.problems import PROBLEMS, URN
from contracts.routes import ROUTES, Route, Sent

API_VERSION = "1.0.0"
"""Version of the interface, not of the product."""

_REF = "#/components/schemas/{name}"
_PROBLEM_JSON = "application/problem+json"

SIGNING_PROFILE = """\
Requests are signed under RFC 9421 with exactly one signature, label `bm`. Covered, in this order: `"@method"`
`"@authority"` `"@path"` `"@query"` `"content-digest"`, then `"content-type"` when the body is not empty, then
`"idempotency-key"` when that header is sent. Exactly six parameters, once each, in any order: `created` `expires`
`nonce` `keyid` `alg` `tag`. `created` and `expires` are ten-digit Unix seconds, `created < expires <= created + 300`;
accepted while `created - 60 <= now <= expires`. `nonce`: 16-64 of `A-Za-z0-9_-`, used once per `keyid`. `keyid`:
SHA-256 of the DER certificate as 64 lower-case hex digits. `alg`: `ecdsa-p256-sha256` (r||s, 64 bytes) or
`rsa-v1_5-sha256` (2048-4096 bits), the one the certificate's key implies. `tag="bianmin-v1"`.

`@authority` is `Host` in lower case without the public scheme's default port. `@path` and `@query` are the bytes of the
request target; `@query` of a request without query is `?`; a target that ends in a bare `?` is refused.
`Content-Digest` (RFC 9530) is always sent, also for an empty body: exactly `sha-256=:...:`, padded base64, one member.

Replies carry `Content-Digest` always and, whenever the request's signature verified (refusals too), `Signature` with
label `bm` over `"@status"` `"content-digest"`, then `"content-type"` when there is a body, then
`"signature";req;key="bm"`, with the parameters `created` `keyid` `alg` `tag`, `tag="bianmin-reply-v1"`. The certificate
must carry the reply usage and is served by `GET /v1/certificates/{keyid}`. Status and body are proven, other headers
are not. An unsigned or unverifiable reply is no reply: it may be shown, it decides nothing.

`nonce-replayed`, any other 401, 429, 5xx, an unsigned reply and a broken connection say nothing about a payment: ask
`POST /v1/payment-inquiries`. A proxy in front must not retry POST. Amounts are integer fen (1/100 yuan), times RFC 3339
UTC, dates `YYYY-MM-DD` in the bureau's zone."""


def document() -> dict[str, Any]:
    """The description as plain JSON values, in a stable order. Source: api s1, through contracts.routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bianmin Gateway terminal API",
            "version": API_VERSION,
            "description": SIGNING_PROFILE,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "One of the configured authorities."}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "parameters": _PARAMETERS,
            "securitySchemes": {
                "bianmin-v1": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "RFC 9421 signature under the profile of this document's description.",
                }
            },
        },
        "x-problems": {
            slug: {"status": kind.status, "title": kind.title, "shop_text": kind.shop_text}
            for slug, kind in sorted(PROBLEMS.items())
        },
    }


def render() -> bytes:
    """The file, byte for byte: UTF-8, one space of indentation, a last line feed."""
    return json.dumps(document(), ensure_ascii=False, indent=1).encode() + b"\n"


_PARAMETERS: dict[str, Any] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "One key, one effect. A bare token, not a quoted string.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$"},
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`wait=N` (RFC 7240) holds the call until the outcome or N seconds; above 30 counts as 30.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]{1,4}$"},
    },
    "ContentDigest": {
        "name": "Content-Digest",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    },
    "SignatureInput": {
        "name": "Signature-Input",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "pattern": "^bm=\\("},
    },
}

_HEADERS: Mapping[Sent, dict[str, Any]] = {
    Sent.LOCATION: {"description": "Where the thing is; not proven.", "schema": {"type": "string"}},
    Sent.REPLAYED: {"description": "`true` where the key was known.", "schema": {"const": "true"}},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds; not proven.", "schema": {"type": "integer", "minimum": 0}}}
_MAY_RETRY = frozenset({"request-running", "too-many-requests", "biller-closed", "overloaded"})


def _operation(route: Route) -> dict[str, Any]:
    parameters = [_parameter(name, kind, "path") for name, kind in route.segments.items()]
    parameters += [_parameter(name, kind, "query") for name, kind in route.query.items()]
    shared = ["ContentDigest", "SignatureInput"] * route.signed
    shared += ["IdempotencyKey"] * route.keyed + ["Prefer"] * route.waits
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    operation: dict[str, Any] = {"operationId": route.operation, "summary": route.summary}
    if parameters:
        operation["parameters"] = parameters
    if route.request:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.request)}}}
    operation["responses"] = {**_successes(route), **_refusals(route)}
    operation["security"] = [{"bianmin-v1": []}] if route.signed else []
    return operation


def _parameter(name: str, kind: Any, place: str) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([kind], ref_template=_REF)
    for found in components.values():  # an enumeration, written out: a parameter needs no component of its own
        schema = {key: value for key, value in found.items() if key not in {"title", "description"}}
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _successes(route: Route) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    for status, answer in sorted(route.answers.items()):
        schema: dict[str, Any] = _ref(answer.body) if answer.body else {}
        reply: dict[str, Any] = {"description": answer.says, "content": {answer.media_type: {"schema": schema}}}
        if answer.headers:
            reply["headers"] = {str(name): _HEADERS[name] for name in answer.headers}
        replies[str(status)] = reply
    return replies


def _refusals(route: Route) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for slug in route.slugs:
        by_status.setdefault(PROBLEMS[slug].status, []).append(slug)
    replies: dict[str, Any] = {}
    for status, slugs in sorted(by_status.items()):
        narrowed = {"properties": {"type": {"enum": [URN + slug for slug in slugs]}, "status": {"const": status}}}
        replies[str(status)] = {
            "description": " · ".join(f"`{slug}` {PROBLEMS[slug].title}" for slug in slugs),
            "content": {_PROBLEM_JSON: {"schema": {"allOf": [_ref(api.Problem), narrowed]}}},
        }
        if _MAY_RETRY & set(slugs):
            replies[str(status)]["headers"] = _RETRY_AFTER
    return replies


def _schemas() -> dict[str, Any]:
    kinds: list[type[Any]] = [api.Problem]
    for route in ROUTES:
        if route.request:
            kinds.append(route.request)
        kinds += [answer.body for answer in route.answers.values() if answer.body]
    _, components = msgspec.json.schema_components(dict.fromkeys(kinds), ref_template=_REF)
    components["Problem"]["properties"]["type"] = {
        "type": "string",
        "enum": [URN + slug for slug in sorted(PROBLEMS)],
    }
    components["Found"] = _found(components["Found"]["description"])
    return {name: _one_line(components[name]) for name in sorted(components)}


def _found(says: str) -> dict[str, Any]:
    """An inquiry's answer is one of three; the struct alone would allow all of them at once."""

    def shape(found: bool, member: str, schema: dict[str, Any]) -> dict[str, Any]:
        members = {"found": {"const": found}, member: schema}
        return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}

    tombstone = shape(False, "tombstone", {"const": True})
    return {
        "title": "Found",
        "description": says,
        "oneOf": [shape(True, "payment", _ref(api.Payment)), shape(True, "problem", _ref(api.Problem)), tombstone],
    }


def _one_line(schema: dict[str, Any]) -> dict[str, Any]:
    """Docstrings are wrapped for the source; a description is one paragraph."""
    if "description" in schema:
        schema["description"] = re.sub(r"\s+", " ", schema["description"])
    return schema


def _ref(kind: type[Any]) -> dict[str, Any]:
    return {"$ref": _REF.format(name=kind.__name__)}
