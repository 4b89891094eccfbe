"""Against another implementation of RFC 9421 (http-message-signatures): we never take what it refuses, and what it
takes and we refuse is a closed list."""

import base64
import hashlib
from types import SimpleNamespace
from typing import Any

import pytest
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import ECDSA_P256_SHA256, RSA_V1_5_SHA256
from http_message_signatures.exceptions import HTTPMessageSignaturesException
from hypothesis import given
from hypothesis import strategies as st

from certs.core.profile import Refused, RequestHead, SignedRequest, read_request, sign_request, verify
from tests.unit.certs.material import (
    AUTHORITIES,
    AUTHORITY,
    BODY,
    CREATED,
    KEY,
    NONCE,
    REQUESTS,
    Loose,
    accept,
    certificate,
    digest_of,
    replaced,
    request_head,
    signer,
)

DEMANDED = ("@method", "@authority", "@path", "@query", "content-digest")
TIMES = f";created={CREATED};expires={CREATED + 300}"
REST = f';nonce="{NONCE}";keyid="KEYID";alg="ecdsa-p256-sha256";tag="bianmin-v1"'
NAMES = ["@method", "@authority", "@path", "@query", "content-digest", "content-type", "idempotency-key"]
SHA_512 = base64.b64encode(hashlib.sha512(BODY).digest()).decode()
SIGNED = dict(Loose().head().headers)
ALL = [f'"{name}"' for name in NAMES]


class Timeless(HTTPMessageVerifier):
    """The time window is judged elsewhere, by us too."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Nothing."""


class Lines:
    """Header lines, doubled ones kept."""

    def __init__(self, lines: Any) -> None:
        self._lines = list(lines)

    def items(self) -> list[tuple[str, str]]:
        """Every line."""
        return self._lines


def theirs(head: RequestHead, by: str = "station") -> str | None:
    """The signature base they verified, or None."""
    host = next((value for name, value in head.headers if name.lower() == "host"), "")
    message = SimpleNamespace(method=head.method, url=f"https://{host}{head.target}", headers=Lines(head.headers))
    known = {certificate(name).keyid: certificate(name).public_key for name in ("station", "station_rsa")}
    algorithm = RSA_V1_5_SHA256 if by == "station_rsa" else ECDSA_P256_SHA256
    verifier = Timeless(
        signature_algorithm=algorithm, key_resolver=MappingKeyResolver(public_keys=known, private_keys={})
    )
    try:
        (result,) = verifier.verify(
            message, max_age=None, expect_tag="bianmin-v1", require_components=DEMANDED, body=head.body
        )
    except (InvalidSignature, HTTPMessageSignaturesException, ValueError):
        return None
    return "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())


def ours(head: RequestHead, by: str = "station") -> str | None:
    """The signature base we verified, or None."""
    read = read_request(head, AUTHORITIES)
    return read.base.decode() if isinstance(read, SignedRequest) and verify(read, certificate(by)) else None


@pytest.mark.parametrize("name", REQUESTS)
def test_vectors_agree(name: str) -> None:
    by = "station_rsa" if name.endswith("rsa") else "station"
    assert ours(request_head(name), by) == theirs(request_head(name), by) is not None


def _line(name: str, value: str) -> RequestHead:
    head = Loose().head()
    return RequestHead(head.method, head.target, replaced(head.headers, name, value), head.body)


def _added(*lines: tuple[str, str]) -> RequestHead:
    head = Loose().head()
    return RequestHead(head.method, head.target, [*head.headers, *lines], head.body)


def _second_label() -> RequestHead:
    head = Loose().head()
    lines = [
        (n, v + ', x=("@method");created=1' if n == "Signature-Input" else v + ", x=:AAAA:" if n == "Signature" else v)
        for n, v in head.headers
    ]
    return RequestHead(head.method, head.target, lines, head.body)


def _other_label() -> RequestHead:
    head = Loose().head()
    lines = [(n, "sig=" + v[3:] if n.startswith("Signature") else v) for n, v in head.headers]
    return RequestHead(head.method, head.target, lines, head.body)


THEY_TAKE_WE_REFUSE: dict[str, RequestHead] = {
    "digest without padding": Loose(digest=digest_of(BODY).replace("=:", ":").replace("256:", "256=:")).head(),
    "two digest algorithms": Loose(digest=f"{digest_of(BODY)}, sha-512=:{SHA_512}:").head(),
    "digest with a parameter": Loose(digest=digest_of(BODY) + ";x=1").head(),
    "second label with another tag": _second_label(),
    "another label": _other_label(),
    "extra component": Loose(covered=[*ALL, '"host"']).head(),
    "components reordered": Loose(covered=[*ALL[:2], *reversed(ALL[2:])]).head(),
    "content-type not covered": Loose(covered=[one for one in ALL if one != '"content-type"']).head(),
    "idempotency-key not covered": Loose(covered=[one for one in ALL if one != '"idempotency-key"']).head(),
    "content-type covered without a body": Loose(body=b"", covered=ALL).head(),
    "body without a type": Loose(content_type=None, covered=[*ALL[:5], ALL[6]]).head(),
    "type that is none": Loose(content_type="json").head(),
    "no expires": Loose(params=f";created={CREATED}{REST}").head(),
    "no nonce": Loose(params=TIMES + REST.replace(f';nonce="{NONCE}"', "")).head(),
    "no alg": Loose(params=TIMES + REST.replace(';alg="ecdsa-p256-sha256"', "")).head(),
    "expires before created": Loose(expires=CREATED - 1).head(),
    "long life": Loose(expires=CREATED + 301).head(),
    "nine digits": Loose(created=999_999_800, expires=999_999_999).head(),
    "short nonce": Loose(nonce="a").head(),
    "long nonce": Loose(nonce="a" * 65).head(),
    "nonce of other characters": Loose(nonce="a" * 16 + "+/= ").head(),
    "space before a parameter's name": _line(
        "Signature-Input", SIGNED["Signature-Input"].replace(";created", "; created")
    ),
    "foreign authority": Loose(host="evil.example", authority="evil.example").head(),
    "body on GET": Loose(method="GET").head(),
    "content encoding": _added(("Content-Encoding", "gzip")),
    "doubled content-length": _added(("Content-Length", "99"), ("Content-Length", "99")),
    "doubled host": _added(("Host", AUTHORITY)),
    "doubled content-type": Loose(content_type="a/b, a/b").head(),
    "quoted idempotency key": Loose(key=f'"{KEY}"').head(),
    "short idempotency key": Loose(key="a").head(),
    "bare ?": Loose(target="/v1/payments?").head(),
    "double slash": Loose(target="/v1//payments").head(),
    "dot segments": Loose(target="/v1/payments/../queries/7").head(),
    "escaped slash": Loose(target="/v1/a%2Fb").head(),
    "escaped nul": Loose(target="/v1/a%00").head(),
    "lower-case escape": Loose(target="/v1/%e7%94%b5").head(),
    "escape of an unreserved character": Loose(target="/v1/%7E").head(),
    "escapes that are not UTF-8": Loose(target="/v1/%FF").head(),
    "signature without padding": _line("Signature", SIGNED["Signature"].replace("==:", ":")),
}
BOTH_REFUSE: dict[str, RequestHead] = {
    "another tag": Loose(params=TIMES + REST.replace("bianmin-v1", "bianmin-v2")).head(),
    "unknown parameter": Loose(params=f"{TIMES}{REST};x=1").head(),
    "created as a string": Loose(params=f';created="{CREATED}";expires={CREATED + 300}{REST}').head(),
    "algorithm of another key": Loose(alg="rsa-v1_5-sha256").head(),
    "component twice": Loose(covered=[*ALL, ALL[0]]).head(),
    "digest not covered": Loose(covered=[one for one in ALL if one != '"content-digest"']).head(),
    "path not covered": Loose(covered=[one for one in ALL if one != '"@path"']).head(),
    "digest of another body": Loose(digest=digest_of(b"{}")).head(),
    "digest of another name": Loose(digest=digest_of(BODY).replace("256", "255")).head(),
    "lower-case method": Loose(method="post").head(),
    "broken escape": Loose(target="/v1/%zz").head(),
    "pipe": Loose(target="/v1/a|b").head(),
    "two labels in one line": _line("Signature-Input", SIGNED["Signature-Input"] + "," + SIGNED["Signature-Input"]),
    "doubled signature": _added(("Signature", SIGNED["Signature"])),
    "doubled digest": _added(("Content-Digest", digest_of(BODY))),
    "no signature": _line("Signature", ""),
    "no input": _line("Signature-Input", ""),
    "doubled key, not as signed": _added(("Idempotency-Key", KEY)),
}


@pytest.mark.parametrize("what", THEY_TAKE_WE_REFUSE)
def test_closed_list_of_what_they_take_and_we_refuse(what: str) -> None:
    head = THEY_TAKE_WE_REFUSE[what]
    assert theirs(head) is not None
    assert isinstance(read_request(head, AUTHORITIES), Refused)


@pytest.mark.parametrize("what", BOTH_REFUSE)
def test_both_refuse(what: str) -> None:
    assert theirs(BOTH_REFUSE[what]) is None
    assert ours(BOTH_REFUSE[what]) is None


SPOTS = st.tuples(
    st.integers(0, 10**6), st.sampled_from(["cut", "put", "swap", "twice"]), st.sampled_from('";=:,() \tA0é')
)


def edited(text: str, at: int, how: str, what: str) -> str:
    """One small accident in a text."""
    at %= len(text) + 1
    if how == "cut":
        return text[:at] + text[at + 1 :]
    if how == "put":
        return text[:at] + what + text[at:]
    return text[:at] + what + text[at + 1 :] if how == "swap" else text[:at] + text[at : at + 1] * 2 + text[at + 1 :]


@given(st.sampled_from(REQUESTS), st.lists(st.tuples(st.integers(-2, 7), SPOTS), min_size=1, max_size=2))
def test_we_never_take_what_they_refuse(name: str, edits: list[tuple[int, tuple[int, str, str]]]) -> None:
    head, by = request_head(name), "station_rsa" if name.endswith("rsa") else "station"
    method, target, lines, body = head.method, head.target, list(head.headers), head.body
    for where, spot in edits:
        if where == -1:
            target = edited(target, *spot)
        elif where == -2:
            method = edited(method, *spot)
        else:
            header, value = lines[where % len(lines)]
            lines[where % len(lines)] = (header, edited(value, *spot))
    changed = RequestHead(method, target, lines, body)
    base = ours(changed, by)
    assert base is None or base == theirs(changed, by)


@given(
    st.permutations(ALL),
    st.integers(0, 7),
    st.permutations([TIMES, *REST.replace(";", " ;").split()]),
    st.sampled_from(["/v1/payments", "/v1/payments?a=b", "/v1/%E7%94%B5?x=%20", "/v1/a;b"]),
    st.booleans(),
)
def test_signed_strays(order: list[str], kept: int, params: list[str], target: str, sort: bool) -> None:
    covered = sorted(order[:kept], key=ALL.index) if sort else order[:kept]
    head = Loose(covered=covered, params="".join(params), target=target).head()
    base = ours(head)
    assert (base is not None) == (covered == ALL)
    assert base is None or base == theirs(head)


def test_they_take_what_we_sign() -> None:
    made = sign_request(
        signer("station"),
        method="POST",
        authority=AUTHORITY,
        target="/v1/payments?a=%20",
        body=BODY,
        content_type="application/json",
        idempotency_key=KEY,
        created=CREATED,
        expires=CREATED + 300,
        nonce=NONCE,
    )
    head = RequestHead("POST", "/v1/payments?a=%20", [("Host", AUTHORITY), *made.items()], BODY)
    assert theirs(head) == accept(head).base.decode()
