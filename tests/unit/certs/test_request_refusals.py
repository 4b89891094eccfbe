"""What the profile does not name is refused, even where the signature over it holds."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from certs.core.profile import Refused, RequestHead, SignedRequest, read_request, verify
from contracts.problems import PROBLEMS
from tests.unit.certs.material import (
    AUTHORITIES,
    AUTHORITY,
    BODY,
    CREATED,
    KEY,
    NONCE,
    Loose,
    certificate,
    digest_of,
    replaced,
    request_head,
)

ALL = ['"@method"', '"@authority"', '"@path"', '"@query"', '"content-digest"', '"content-type"', '"idempotency-key"']
TIMES = f";created={CREATED};expires={CREATED + 300}"
REST = f';nonce="{NONCE}";keyid="KEYID";alg="ecdsa-p256-sha256";tag="bianmin-v1"'
INVALID, MALFORMED, MEDIA = "signature-invalid", "malformed", "unsupported-media-type"


def swapped(at: int) -> list[str]:
    """The components with two neighbours exchanged."""
    return [*ALL[:at], ALL[at + 1], ALL[at], *ALL[at + 2 :]]


STRAYING: list[tuple[dict[str, Any], str]] = [
    *(({"covered": [one for one in ALL if one != gone]}, INVALID) for gone in ALL),
    *(({"covered": [*ALL, twice]}, INVALID) for twice in ALL),
    *(({"covered": swapped(at)}, INVALID) for at in range(len(ALL) - 1)),
    ({"covered": [*ALL, '"host"']}, INVALID),
    ({"covered": [*ALL[:2], '"@request-target"', *ALL[4:]]}, INVALID),
    ({"covered": [*ALL[:4], '"content-digest";sf', *ALL[5:]]}, INVALID),
    ({"covered": []}, INVALID),
    ({"gap": "  "}, INVALID),
    ({"gap": "\t"}, INVALID),
    ({"params": f"{TIMES}{REST};x=1"}, INVALID),
    ({"params": f"{TIMES}{REST}{TIMES}"}, INVALID),
    ({"params": f"{TIMES};created={CREATED}{REST}"}, INVALID),
    ({"params": f"{TIMES}{REST.replace(';nonce=', ';nonce=' + chr(34) + 'a' * 16 + chr(34) + ';nonce=')}"}, INVALID),
    ({"params": f"{TIMES}{REST.replace(';tag', '; tag')}"}, INVALID),
    ({"params": f"{TIMES}{REST} "}, INVALID),
    ({"params": f"{TIMES}{REST.replace('bianmin-v1', 'bianmin-v2')}"}, INVALID),
    ({"params": f"{TIMES}{REST.replace('bianmin-v1', 'bianmin-reply-v1')}"}, INVALID),
    ({"params": f"{TIMES}{REST.replace('tag=' + chr(34) + 'bianmin-v1' + chr(34), 'tag=bianmin-v1')}"}, INVALID),
    ({"params": f';created="{CREATED}";expires={CREATED + 300}{REST}'}, INVALID),
    ({"params": f";created={CREATED}.0;expires={CREATED + 300}{REST}"}, INVALID),
    ({"params": f";created=0{CREATED};expires={CREATED + 300}{REST}"}, INVALID),
    ({"params": f";created=-{CREATED};expires={CREATED + 300}{REST}"}, INVALID),
    ({"params": f";created={CREATED}{REST}"}, INVALID),
    ({"params": f";expires={CREATED}{REST}"}, INVALID),
    ({"params": TIMES}, INVALID),
    ({"params": ""}, INVALID),
    ({"created": 999_999_999, "expires": 1_000_000_000}, INVALID),
    ({"created": 9_999_999_999, "expires": 10_000_000_000}, INVALID),
    ({"created": 1, "expires": 2}, INVALID),
    ({"expires": CREATED}, INVALID),
    ({"expires": CREATED - 1}, INVALID),
    ({"expires": CREATED + 301}, INVALID),
    *(({"nonce": nonce}, INVALID) for nonce in ("a" * 15, "a" * 65, "a" * 15 + "+", "a" * 15 + " ", "a" * 16 + "=")),
    ({"params": f"{TIMES}{REST.replace('KEYID', 'A' * 64)}"}, INVALID),
    ({"params": f"{TIMES}{REST.replace('KEYID', 'a' * 63)}"}, INVALID),
    *(({"alg": alg}, INVALID) for alg in ("rsa-pss-sha512", "ed25519", "hmac-sha256", "ecdsa-p384-sha384", "none")),
    ({"alg": "rsa-v1_5-sha256"}, INVALID),
    ({"by": "station_rsa", "alg": "ecdsa-p256-sha256"}, INVALID),
    ({"digest": digest_of(b"other")}, INVALID),
    ({"digest": digest_of(BODY).rstrip(":").rstrip("=") + ":"}, INVALID),
    ({"digest": digest_of(BODY) + ", sha-512=:AAAA:"}, INVALID),
    ({"digest": digest_of(BODY) + ", " + digest_of(BODY)}, INVALID),
    ({"digest": digest_of(BODY) + ";x=1"}, INVALID),
    ({"digest": digest_of(BODY).replace("sha-256", "SHA-256")}, INVALID),
    ({"digest": digest_of(BODY) + " "}, INVALID),
    ({"digest": digest_of(BODY).replace("=:", "= :", 1)}, INVALID),
    ({"host": "evil.example", "authority": "evil.example"}, INVALID),
    ({"host": "pay.bianmin.example", "authority": "pay.bianmin.example"}, INVALID),
    ({"host": AUTHORITY + ".", "authority": AUTHORITY + "."}, MALFORMED),
    *(({"host": host, "authority": host}, MALFORMED) for host in ("", "a@b:1", "a:0443", "a:x", "a b", "a,b", "[::1")),
    ({"method": "post"}, MALFORMED),
    ({"method": "PO ST"}, MALFORMED),
    ({"method": ""}, MALFORMED),
    ({"method": "GET"}, MALFORMED),
    ({"method": "HEAD"}, MALFORMED),
    *(
        ({"target": target}, MALFORMED)
        for target in ("/v1/payments?", "/v1/payments/../queries/7", "//evil/v1", "http://evil/v1", "/v1/%2fa", "/v1#a")
    ),
    *(({"key": key}, MALFORMED) for key in ("a" * 15, "a" * 65, '"' + "a" * 16 + '"', "a" * 15 + "é", "")),
    ({"content_type": "json"}, MEDIA),
    ({"content_type": "application/json, text/plain"}, MEDIA),
    ({"content_type": "application/json "}, MEDIA),
    ({"content_type": ""}, MEDIA),
    ({"content_type": "application/json; charset"}, MEDIA),
    ({"extra": [("Content-Encoding", "gzip")]}, MEDIA),
    ({"extra": [("content-encoding", "identity")]}, MEDIA),
    ({"body": b"", "covered": ALL}, INVALID),
]


@pytest.mark.parametrize(("change", "slug"), STRAYING)
def test_signed_but_not_of_the_profile(change: dict[str, Any], slug: str) -> None:
    found = read_request(Loose(**change).head(), AUTHORITIES)
    assert isinstance(found, Refused), found
    assert found.slug == slug
    assert found.detail.isascii() or "…" in found.detail


PARAMETERS = [f";created={CREATED}", f";expires={CREATED + 300}", *(f";{one}" for one in REST[1:].split(";"))]


@pytest.mark.parametrize("gone", range(6))
@pytest.mark.parametrize("twice", range(6))
def test_six_parameters_but_not_the_six(gone: int, twice: int) -> None:
    params = "".join(PARAMETERS[:gone] + PARAMETERS[gone + 1 :] + [PARAMETERS[twice]])
    found = read_request(Loose(params=params).head(), AUTHORITIES)
    assert isinstance(found, SignedRequest) if gone == twice else isinstance(found, Refused)


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Type", "Content-Length", "Content-Digest", "Idempotency-Key", "Signature-Input", "Signature"],
)
def test_doubled_lines(name: str) -> None:
    head = request_head("post-ec")
    value = dict(head.headers)[name]
    for lines in ([*head.headers, (name.upper(), value)], [(name.lower(), "other"), *head.headers]):
        assert read_request(RequestHead(head.method, head.target, lines, head.body), AUTHORITIES) == Refused(
            "malformed", f"more than one {name.lower()} line, or its name is not ASCII"
        )


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Host", MALFORMED),
        ("Content-Type", MEDIA),
        ("Content-Digest", INVALID),
        ("Idempotency-Key", INVALID),
        ("Signature-Input", "signature-missing"),
        ("Signature", "signature-missing"),
    ],
)
def test_missing_lines(name: str, slug: str) -> None:
    head = request_head("post-ec")
    found = read_request(
        RequestHead(head.method, head.target, replaced(head.headers, name, None), head.body), AUTHORITIES
    )
    assert isinstance(found, Refused)
    assert found.slug == slug


def test_key_sent_but_not_covered() -> None:
    head = Loose(key=None, extra=[("Idempotency-Key", KEY)]).head()
    assert isinstance(read_request(head, AUTHORITIES), Refused)


def _signature(change: Callable[[str], str]) -> RequestHead:
    head = request_head("post-ec")
    value = change(dict(head.headers)["Signature"])
    return RequestHead(head.method, head.target, replaced(head.headers, "Signature", value), head.body)


def test_signature_re_encoded() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def spare_bit(text: str) -> str:
        last = text[-4]
        return text[:-4] + alphabet[alphabet.index(last) + 1] + text[-3:]

    twin = spare_bit(dict(request_head("post-ec").headers)["Signature"])
    raw = base64.b64decode(dict(request_head("post-ec").headers)["Signature"][4:-1])
    assert base64.b64decode(twin[4:-1]) == raw, "the twin must decode to the same bytes"
    changes: list[Callable[[str], str]] = [
        spare_bit,
        lambda text: text.replace("==:", ":"),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text[:20] + " " + text[20:],
        lambda text: text[:20] + "\n" + text[20:],
        lambda text: text + ";x",
        lambda text: text + ", other=:AAAA:",
        lambda text: text.replace("bm=", "bm2="),
        lambda text: text.replace("bm=", "bm= "),
        lambda text: text.replace("bm=:", "bm=").removesuffix(":"),
        lambda text: text.replace("bm=:", "bm=:AAAA"),
        lambda text: " " + text,
        lambda text: "",
        lambda text: "bm=::",
        lambda text: "bm=:" + base64.b64encode(bytes(256)).decode() + ":",
    ]
    for change in changes:
        found = read_request(_signature(change), AUTHORITIES)
        assert isinstance(found, Refused)
        assert found.slug == INVALID


def test_a_second_signature_is_refused() -> None:
    head = request_head("post-ec")
    given = dict(head.headers)["Signature-Input"]
    for value in (
        f"{given}, x=()",
        f"x=();tag=a, {given}",
        given.replace("bm=", "sig="),
        f"{given},{given}",
        f" {given}",
    ):
        lines = replaced(head.headers, "Signature-Input", value)
        assert isinstance(read_request(RequestHead(head.method, head.target, lines, head.body), AUTHORITIES), Refused)


def test_case_folding_outside_ascii_makes_nothing_equal() -> None:
    kelvin = "\u212a"
    assert "K".lower() == kelvin.lower()
    lines = [(name.replace("Key", f"{kelvin}ey"), value) for name, value in Loose().head().headers]
    assert isinstance(read_request(RequestHead("POST", "/v1/payments", lines, BODY), AUTHORITIES), Refused)
    named = Loose(host=f"pay.{kelvin}.example", authority="pay.k.example").head()
    assert isinstance(read_request(named, frozenset({"pay.k.example"})), Refused)


def _with(name: str, value: str) -> Callable[[RequestHead], RequestHead]:
    return lambda h: RequestHead(h.method, h.target, replaced(h.headers, name, value), h.body)


def _input(word: str, other: str) -> Callable[[RequestHead], RequestHead]:
    return _with("Signature-Input", dict(request_head("post-ec").headers)["Signature-Input"].replace(word, other))


CHANGES: dict[str, Callable[[RequestHead], RequestHead]] = {
    "method": lambda h: RequestHead("PUT", h.target, h.headers, h.body),
    "path": lambda h: RequestHead(h.method, "/v1/top-ups", h.headers, h.body),
    "query": lambda h: RequestHead(h.method, h.target + "?a=b", h.headers, h.body),
    "body": lambda h: RequestHead(h.method, h.target, h.headers, h.body + b" "),
    "body and digest": lambda h: RequestHead(
        h.method, h.target, replaced(h.headers, "Content-Digest", digest_of(b"{}")), b"{}"
    ),
    "type": _with("Content-Type", "text/plain"),
    "key": _with("Idempotency-Key", "a" * 20),
    "created": _input("created=1795478400", "created=1795478401"),
    "expires": _input("expires=1795478700", "expires=1795478699"),
    "nonce": _input("bm-vector-0001", "bm-vector-0009"),
    "keyid": _input('keyid="b', 'keyid="c'),
}


@pytest.mark.parametrize("what", CHANGES)
def test_altered_after_signing(what: str) -> None:
    head = request_head("post-ec")
    changed = CHANGES[what](head)
    assert changed != head
    found = read_request(changed, AUTHORITIES)
    assert isinstance(found, Refused) or not verify(found, certificate("station"))


def test_another_configured_authority_is_covered_too() -> None:
    head = request_head("post-ec")
    lines = replaced(head.headers, "Host", "other.example")
    found = read_request(
        RequestHead(head.method, head.target, lines, head.body), frozenset({"other.example", AUTHORITY})
    )
    assert isinstance(found, SignedRequest)
    assert not verify(found, certificate("station"))


def test_every_slug_is_a_known_problem() -> None:
    assert {slug for _, slug in STRAYING} | {"signature-missing"} <= PROBLEMS.keys()
