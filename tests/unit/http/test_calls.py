"""What a request is hashed over (M3)."""

import json
from typing import Any, cast

import pytest

from certs.core.messages import SignedRequest
from gateway.http.calls import Call
from gateway.http.holding import Deciding
from gateway.http.problems import BadRequest

BODY = (
    b'{"service":"mobile.topup","biller_account":"13805790001","amount_fen":10000,"terminal_trace":"000123",'
    b'"cash_received_fen":10100}'
)


def _call(path: str = "/v1/payments", method: str = "POST", body: bytes = BODY) -> Call:
    signed = SignedRequest(
        method=method,
        authority="x",
        target=path,
        path=path,
        query="",
        body=body,
        content_type="application/json",
        idempotency_key=None,
        created=0,
        expires=1,
        nonce="n" * 16,
        keyid="0" * 64,
        alg="ecdsa-p256-sha256",
        base=b"base",
        signature=b"s",
        signature_field=":s:",
    )
    nothing = cast(Any, None)
    return Call(
        services=nothing,
        holding=nothing,
        deciding=Deciding(),
        trace_id="0" * 32,
        signed=signed,
        plain=json.loads(body),
    )


def test_the_worked_example() -> None:
    """worked-example s3.1: the value there is real."""
    assert _call().request_hash.hex() == "8578fb1939e08a4e6e27a3dd5bf5bf42c1ee9b58aea14bf2b25da502828c2923"


def test_fields_count_and_bytes_do_not() -> None:
    spaced = b" { " + b', "'.join(BODY[1:-1].split(b',"')) + b" } "
    assert json.loads(spaced) == json.loads(BODY)
    assert _call(body=spaced).request_hash == _call().request_hash
    assert _call(path="/v1/payments/x/refunds").request_hash != _call().request_hash
    assert _call(method="PUT").request_hash != _call().request_hash
    assert _call(body=BODY.replace(b"10100", b"10101")).request_hash != _call().request_hash


def test_null_is_absent() -> None:
    """M3, 0015: an optional field that is null is the request without it; anything else it holds is another one."""
    for field in ("query_token", "confirm_repeat"):
        with_null = BODY[:-1] + f',"{field}":null}}'.encode()
        assert _call(body=with_null).request_hash == _call().request_hash
    empty = BODY[:-1] + b',"query_token":""}'
    assert _call(body=empty).request_hash != _call().request_hash


def test_a_missing_key_is_named() -> None:
    with pytest.raises(BadRequest) as refused:
        _ = _call().key
    assert refused.value.field == "Idempotency-Key"
