"""Requests of the profile: the worked vectors, and what we sign ourselves."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from certs.core.profile import RequestHead, SignedRequest, check_window, read_request, sign_request, verify
from tests.unit.certs.material import (
    AUTHORITIES,
    AUTHORITY,
    BODY,
    CREATED,
    KEY,
    NONCE,
    REQUESTS,
    VECTORS,
    Loose,
    accept,
    certificate,
    request_head,
    signer,
    vectors,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("name", REQUESTS)
def test_vector_verifies(name: str) -> None:
    case, signed = vectors()[name], accept(request_head(name))
    assert verify(signed, certificate(case["key"]))
    assert signed.base == case["base"].encode() == (VECTORS / f"{name}.base").read_bytes()
    assert signed.signature.hex() == case["signature_hex"]
    assert f"bm={signed.signature_field}" == case["headers"]["signature"]
    assert (signed.method, signed.authority, signed.target) == (case["method"], case["authority"], case["target"])
    assert (signed.created, signed.expires, signed.nonce) == (case["created"], case["expires"], case["nonce"])
    assert (signed.keyid, signed.alg, signed.body) == (case["keyid"], case["alg"], case["body"].encode())
    assert (signed.content_type, signed.idempotency_key) == (
        case["headers"].get("content-type", ""),
        case["headers"].get("idempotency-key"),
    )
    assert signed.target == signed.path + (f"?{signed.query}" if signed.query else "")


@pytest.mark.parametrize("name", REQUESTS)
def test_vector_is_what_we_sign(name: str) -> None:
    case = vectors()[name]
    made = sign_request(
        signer(case["key"]),
        method=case["method"],
        authority=case["authority"],
        target=case["target"],
        body=case["body"].encode(),
        content_type="application/json",
        idempotency_key=case["headers"].get("idempotency-key"),
        created=case["created"],
        expires=case["expires"],
        nonce=case["nonce"],
    )
    ours = {header.lower(): value for header, value in made.items()}
    if case["alg"].startswith("ecdsa"):  # an ECDSA signature differs each time
        signed = accept(
            RequestHead(case["method"], case["target"], [("Host", AUTHORITY), *made.items()], body_of(case))
        )
        assert verify(signed, certificate(case["key"]))
        ours["signature"] = case["headers"]["signature"]
    assert ours == case["headers"]


def body_of(case: dict[str, str]) -> bytes:
    return case["body"].encode()


def test_high_and_low_s_are_both_accepted() -> None:
    signed = accept(request_head("post-ec"))
    r, s = signed.signature[:32], int.from_bytes(signed.signature[32:])
    twin = replace(signed, signature=r + (P256_ORDER - s).to_bytes(32))
    assert twin.signature != signed.signature
    assert verify(twin, certificate("station"))


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(63), bytes(65), b"", b"\x00" * 31 + b"\x01" * 33])
def test_degenerate_signatures(signature: bytes) -> None:
    assert not verify(replace(accept(request_head("post-ec")), signature=signature), certificate("station"))


def test_s_is_not_padded() -> None:
    signed = accept(request_head("post-ec"))
    longer = signed.signature[:32] + b"\x00" + signed.signature[32:]
    assert not verify(replace(signed, signature=longer), certificate("station"))


def test_der_is_not_the_wire_form() -> None:
    signed = accept(request_head("post-ec"))
    der = encode_dss_signature(int.from_bytes(signed.signature[:32]), int.from_bytes(signed.signature[32:]))
    assert not verify(replace(signed, signature=der), certificate("station"))


def test_every_signed_byte_counts() -> None:
    signed = accept(request_head("post-ec"))
    for at in range(0, len(signed.base), 7):
        changed = bytearray(signed.base)
        changed[at] ^= 1
        assert not verify(replace(signed, base=bytes(changed)), certificate("station"))


def test_another_key_and_another_algorithm() -> None:
    signed = accept(request_head("post-ec"))
    assert not verify(signed, certificate("station_rsa"))
    assert not verify(replace(signed, keyid=certificate("gateway").keyid), certificate("gateway"))
    # The keyid alone must tell: the bytes would verify.
    assert not verify(replace(signed, keyid="0" * 64), certificate("station"))
    # A verifier that chooses by key type alone would take this (libraries s1).
    assert not verify(replace(signed, alg="rsa-v1_5-sha256"), certificate("station"))
    rsa = accept(request_head("post-rsa"))
    assert verify(rsa, certificate("station_rsa"))
    assert not verify(replace(rsa, alg="ecdsa-p256-sha256"), certificate("station_rsa"))
    assert not verify(replace(rsa, signature=rsa.signature[:-1]), certificate("station_rsa"))


def test_parameters_in_any_order() -> None:
    order = f';tag="bianmin-v1";alg="ecdsa-p256-sha256";nonce="{NONCE}";keyid="KEYID"'
    order += f";expires={CREATED + 1};created={CREATED}"
    signed = accept(Loose(params=order).head())
    assert verify(signed, certificate("station"))
    assert (signed.created, signed.expires) == (CREATED, CREATED + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"", "key": None},
        {"body": b"", "content_type": "application/octet-stream"},
        {"key": None},
        {"method": "GET", "body": b"", "key": None, "target": "/v1/payments?a=b"},
        {"content_type": "application/json; charset=utf-8"},
        {"content_type": 'text/plain;x="a b"'},
        {"expires": CREATED + 1},
        {"nonce": "a" * 16},
        {"nonce": "a" * 64},
        {"key": "a" * 16},
        {"key": "_-" * 32},
        {"by": "station_rsa"},
        {"host": AUTHORITY.upper()},
        {"extra": [("Prefer", "wait=30"), ("X-Forwarded-Host", "evil"), ("X-HTTP-Method-Override", "DELETE")]},
    ],
)
def test_the_profile_leaves_this_room(change: dict[str, Any]) -> None:
    loose = Loose(**change)
    signed = accept(loose.head())
    assert verify(signed, certificate(loose.by))
    assert signed.content_type == (loose.content_type if loose.body else "")


@pytest.mark.parametrize(
    ("scheme", "host", "authority"),
    [
        ("https", "Pay.Example:443", "pay.example"),
        ("http", "pay.example:80", "pay.example"),
        ("http", "pay.example:443", "pay.example:443"),
        ("https", "[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_default_port_of_the_public_scheme(scheme: str, host: str, authority: str) -> None:
    head = Loose(host=host, authority=authority).head()
    signed = read_request(head, frozenset({authority}), scheme=scheme)
    assert isinstance(signed, SignedRequest)
    assert signed.authority == authority
    assert verify(signed, certificate("station"))


def test_window_includes_both_ends() -> None:
    created, expires = 1000, 1300
    inside = [now for now in range(900, 1400) if check_window(created, expires, now)]
    assert (inside[0], inside[-1], len(inside)) == (940, 1300, 361)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "post"},
        {"target": "/v1//payments"},
        {"nonce": "short"},
        {"expires": CREATED + 301},
        {"expires": CREATED},
        {"created": 1, "expires": 2},
        {"idempotency_key": "short"},
        {"content_type": ""},
        {"content_type": "application/json\r\nX: y"},
        {"authority": "pay.example:443"},
        {"authority": "PAY.example"},
        {"method": "GET"},
    ],
)
def test_nothing_is_signed_that_would_be_refused(change: dict[str, Any]) -> None:
    class Never:
        keyid, alg, certificate_der = "0" * 64, "ecdsa-p256-sha256", b""

        def sign(self, data: bytes) -> bytes:
            raise AssertionError("signed")

    given: dict[str, Any] = {"method": "POST", "authority": AUTHORITY, "target": "/v1/payments", "body": BODY}
    given |= {"content_type": "application/json", "idempotency_key": KEY, "nonce": NONCE}
    given |= {"created": CREATED, "expires": CREATED + 300}
    with pytest.raises(ValueError, match="profile"):
        sign_request(Never(), **(given | change))


def test_values_are_frozen_and_do_not_print_bodies() -> None:
    signed = accept(request_head("post-ec"))
    with pytest.raises(FrozenInstanceError):
        signed.created = 0  # type: ignore[misc]
    assert "4600123456" not in repr(signed) + repr(request_head("post-ec"))
    assert {signed.authority} == AUTHORITIES
