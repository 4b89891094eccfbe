"""Replies: proven to the very request, by the reply role only."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certs import pilot
from certs.certificates import Certificate, Role
from certs.core.profile import Refused, ReplyHead, ReplyProof, reply_keyid, sign_reply, verify_reply
from certs.keys import PemSigner
from tests.unit.certs.material import (
    BODY,
    CREATED,
    NOW,
    VECTORS,
    accept,
    certificate,
    digest_of,
    replaced,
    reply_head,
    request_head,
    signer,
    vectors,
)

FIELD = accept(request_head("post-ec")).signature_field
PROBLEM = b'{"type":"urn:bianmin:problem:tombstoned"}'


def prove(
    reply: ReplyHead,
    by: Certificate | None = None,
    *,
    field: str = FIELD,
    at: datetime = NOW,
    issuing: Certificate | None = None,
    root: Certificate | None = None,
) -> ReplyProof | Refused:
    """verify_reply with the vectors' certificates."""
    return verify_reply(
        reply,
        request_signature_field=field,
        certificate=by or certificate("gateway"),
        issuings=(issuing or certificate("issuing"),),
        root=root or certificate("root"),
        now=at,
    )


def signed_by(who: PemSigner, **change: Any) -> ReplyHead:
    """A fresh reply."""
    given: dict[str, Any] = {"status": 409, "body": PROBLEM, "content_type": "application/problem+json"}
    given |= {"created": CREATED + 1, "request_signature_field": FIELD} | change
    lines = sign_reply(who, **given).headers
    return ReplyHead(given["status"], list(lines.items()), given["body"])


def test_vector_verifies() -> None:
    case, proof = vectors()["reply-ec"], prove(reply_head())
    assert isinstance(proof, ReplyProof)
    assert proof.base == case["base"].encode() == (VECTORS / "reply-ec.base").read_bytes()
    assert (proof.status, proof.body, proof.created) == (case["status"], case["body"].encode(), case["created"])
    assert (proof.keyid, proof.content_type) == (case["keyid"], "application/json")
    assert proof.signature.hex() == case["signature_hex"]
    assert reply_keyid(reply_head()) == case["keyid"]


def test_vector_is_what_we_sign() -> None:
    case = vectors()["reply-ec"]
    made = sign_reply(
        signer("gateway"),
        status=case["status"],
        body=case["body"].encode(),
        content_type="application/json",
        created=case["created"],
        request_signature_field=FIELD,
    ).headers
    assert {n.lower(): v for n, v in made.items() if n != "Signature"} == {
        n: v for n, v in case["headers"].items() if n != "signature"
    }


@pytest.mark.parametrize("change", [{}, {"body": b"", "status": 204}, {"status": 201, "content_type": "text/plain"}])
def test_what_we_sign_is_proven(change: dict[str, Any]) -> None:
    reply = signed_by(signer("gateway"), **change)
    proof = prove(reply)
    assert isinstance(proof, ReplyProof), proof
    assert (proof.status, proof.body) == (reply.status, reply.body)
    assert ("content-type" in dict(reply.headers)["Signature-Input"]) == bool(reply.body)


@pytest.mark.parametrize("name", ["station", "station_rsa"])
def test_a_station_cannot_sign_a_reply(name: str) -> None:
    found = prove(signed_by(signer(name)), certificate(name))
    assert found == Refused("signature-invalid", "the certificate has not the reply role")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REPLY])
def test_no_other_role_can(role: Role) -> None:
    root = pilot.make_root("Other", NOW)
    issuing = pilot.make_issuing(root, NOW)
    for one, proven in ((role, False), (Role.REPLY, True)):
        key = pilot.make_key()
        leaf = pilot.issue(
            issuing, one, key.public_key(), operator="x", institution_code="46012345", usb_key_serial="2", now=NOW
        )
        reply = signed_by(PemSigner(leaf, key))
        found = prove(reply, leaf, issuing=issuing.certificate, root=root.certificate)
        assert isinstance(found, ReplyProof) == proven
        # A reply role under another CA is worth nothing here.
        assert isinstance(prove(reply, leaf), Refused)


def test_the_keyid_tells_the_certificate_not_the_key() -> None:
    root = pilot.make_root("Other", NOW)
    issuing, key = pilot.make_issuing(root, NOW), pilot.make_key()
    old, new = (pilot.issue(issuing, Role.REPLY, key.public_key(), operator="x", now=NOW) for _ in range(2))
    reply = signed_by(PemSigner(old, key))
    assert isinstance(prove(reply, old, issuing=issuing.certificate, root=root.certificate), ReplyProof)
    found = prove(reply, new, issuing=issuing.certificate, root=root.certificate)
    assert found == Refused("signature-invalid", "keyid names another certificate")


@pytest.mark.parametrize("gone", range(4))
@pytest.mark.parametrize("twice", range(4))
def test_four_parameters_but_not_the_four(gone: int, twice: int) -> None:
    covered, params = dict(reply_head().headers)["Signature-Input"].split(");")
    one = params.split(";")
    value = f"{covered});" + ";".join([*one[:gone], *one[gone + 1 :], one[twice]])
    reply = ReplyHead(201, replaced(reply_head().headers, "Signature-Input", value), reply_head().body)
    assert isinstance(reply_keyid(reply), str if gone == twice else Refused)


def test_it_must_answer_the_very_request() -> None:
    other = accept(request_head("get-ec")).signature_field
    assert isinstance(prove(reply_head(), field=other), Refused)
    assert isinstance(prove(reply_head(), field=FIELD[1:-1]), Refused)
    assert isinstance(prove(signed_by(signer("gateway"), request_signature_field=other)), Refused)


def _changes() -> dict[str, ReplyHead]:
    reply = reply_head()
    given = dict(reply.headers)["Signature-Input"]

    def lines(name: str, value: str | None) -> ReplyHead:
        return replace(reply, headers=replaced(reply.headers, name, value))

    def doubled(name: str) -> ReplyHead:
        more: Sequence[tuple[str, str]] = [(name.upper(), dict(reply.headers)[name])]
        return replace(reply, headers=[*reply.headers, *more])

    once = ["Content-Type", "Content-Digest", "Signature-Input", "Signature"]
    return {
        "status": replace(reply, status=200),
        "body": replace(reply, body=b"{}"),
        "body and digest": replace(lines("Content-Digest", digest_of(b"{}")), body=b"{}"),
        "no body": replace(lines("Content-Digest", digest_of(b"")), body=b""),
        "type": lines("Content-Type", "text/plain"),
        "encoding": replace(reply, headers=[*reply.headers, ("Content-Encoding", "gzip")]),
        **{f"no {name}": lines(name, None) for name in once},
        **{f"doubled {name}": doubled(name) for name in once},
        "created": lines("Signature-Input", given.replace("1795478401", "1795478402")),
        "tag": lines("Signature-Input", given.replace("bianmin-reply-v1", "bianmin-v1")),
        "request part not covered": lines("Signature-Input", given.replace(' "signature";req;key="bm"', "")),
        "own signature covered": lines("Signature-Input", given.replace(";req", "")),
        "alg": lines("Signature-Input", given.replace("ecdsa-p256-sha256", "rsa-v1_5-sha256")),
        "parameter twice": lines("Signature-Input", given + ";created=1795478401"),
        "parameter unknown": lines("Signature-Input", given + ";nonce=1"),
        "label": lines("Signature-Input", given.replace("bm=", "sig=", 1)),
        "keyid": lines("Signature-Input", given.replace('keyid="4', 'keyid="5')),
        "order": lines("Signature-Input", given.replace('"@status" "content-digest"', '"content-digest" "@status"')),
        "signature": lines("Signature", "bm=:" + "A" * 86 + "==:"),
        "signature form": lines("Signature", dict(reply.headers)["Signature"].replace("==:", ":")),
    }


@pytest.mark.parametrize("what", _changes())
def test_altered(what: str) -> None:
    changed = _changes()[what]
    assert changed != reply_head()
    assert isinstance(prove(changed), Refused)


def test_slugs() -> None:
    reply = reply_head()
    unsigned = prove(replace(reply, headers=replaced(reply.headers, "Signature", None)))
    assert isinstance(unsigned, Refused)
    assert unsigned.slug == "signature-missing"
    late = prove(reply, at=datetime(2028, 10, 31, tzinfo=UTC))
    assert isinstance(late, Refused)
    assert late.slug == "certificate-expired"
    assert isinstance(prove(reply, at=datetime(2028, 10, 31, tzinfo=UTC) - timedelta(seconds=1)), ReplyProof)
    foreign = prove(reply, root=pilot.make_root("Other", NOW).certificate)
    assert isinstance(foreign, Refused)
    assert foreign.slug == "certificate-unknown"


@pytest.mark.parametrize(
    "change",
    [
        {"status": 99},
        {"status": 600},
        {"created": 1},
        {"content_type": ""},
        {"content_type": "a/b\r\nX: y"},
        {"request_signature_field": ":AAAA:\nx"},
        {"request_signature_field": ""},
    ],
)
def test_nothing_is_signed_that_no_verifier_takes(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        signed_by(signer("gateway"), **({"body": BODY} | change))


def test_parameters_in_any_order() -> None:
    class Reordering:
        keyid, alg, certificate_der = certificate("gateway").keyid, "ecdsa-p256-sha256", b""

        def sign(self, data: bytes) -> bytes:
            return signer("gateway").sign(data.replace(pair[0].encode(), pair[1].encode()))

    begin = f";created={CREATED + 1}"
    pair = (begin + f';keyid="{certificate("gateway").keyid}"', f';keyid="{certificate("gateway").keyid}"' + begin)
    made = sign_reply(
        Reordering(), status=200, body=b"", content_type="", created=CREATED + 1, request_signature_field=FIELD
    ).headers
    made["Signature-Input"] = made["Signature-Input"].replace(*pair)
    assert isinstance(prove(ReplyHead(200, list(made.items()), b"")), ReplyProof)
