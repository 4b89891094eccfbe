"""Signed replies: make one, prove one (api s1)."""

import re
from collections.abc import Sequence
from datetime import datetime

from certs.core.certificates import Certificate, Role
from certs.core.chains import judge_among
from certs.core.headers import (
    ALG,
    KEYID,
    TIME,
    collect_lines,
    content_digest,
    fits_alg,
    is_media_type,
    is_signature_field,
    read_signature,
    write_signature,
)
from certs.core.messages import Refused, ReplyHead, ReplyProof, SignedReply
from certs.core.signatures import holds
from contracts.signer import Signer

_INPUT = re.compile(
    r'bm=\("@status" "content-digest"( "content-type")? "signature";req;key="bm"\)'
    rf'(?:;created=(?P<created>{TIME})|;keyid="(?P<keyid>{KEYID})"|;alg="(?P<alg>{ALG})"'
    r'|;tag="(?P<tag>bianmin-reply-v1)"){4}'
)


def _base(status: int, digest: str, content_type: str, field: str, params: str) -> bytes:
    typed = f'"content-type": {content_type}\n' if content_type else ""
    return (
        f'"@status": {status}\n"content-digest": {digest}\n{typed}'
        f'"signature";req;key="bm": {field}\n"@signature-params": {params}'
    ).encode("ascii")


def sign_reply(
    signer: Signer, *, status: int, body: bytes, content_type: str, created: int, request_signature_field: str
) -> SignedReply:
    """The headers that prove a reply, to be sent with exactly this status and body, and what was signed.

    status: 200-599. content_type: sent and covered only with a body. created: Unix seconds.
    request_signature_field: SignedRequest.signature_field of the request answered, whose signature verified.
    The only effect is the signer's own. Raises ValueError, before anything is signed, for what no verifier would take.
    Source: api s1.
    """
    if not 200 <= status <= 599 or not re.fullmatch(TIME, str(created)):
        raise ValueError("status must be 200-599 and created ten-digit Unix seconds")
    if body and not is_media_type(content_type):
        raise ValueError("a body needs a media type")
    if not is_signature_field(request_signature_field):
        raise ValueError("request_signature_field must be :…: as the request's Signature carried it")
    headers = {"Content-Digest": content_digest(body)}
    covered = '"@status" "content-digest"'
    if body:
        headers["Content-Type"] = content_type
        covered += ' "content-type"'
    params = (
        f'({covered} "signature";req;key="bm");created={created};keyid="{signer.keyid}";alg="{signer.alg}"'
        ';tag="bianmin-reply-v1"'
    )
    typed = content_type if body else ""
    base = _base(status, headers["Content-Digest"], typed, request_signature_field, params)
    headers["Signature-Input"] = f"bm={params}"
    signature = signer.sign(base)
    headers["Signature"] = write_signature(signature)
    return SignedReply(headers=headers, keyid=signer.keyid, base=base, signature=signature)


def reply_keyid(reply: ReplyHead) -> str | Refused:
    """The keyid a reply claims, to fetch the certificate by (`GET /certificates/{keyid}`); proves nothing."""
    read = _read_params(reply)
    return read if isinstance(read, Refused) else read[0]["keyid"]


def verify_reply(
    reply: ReplyHead,
    *,
    request_signature_field: str,
    certificate: Certificate,
    issuings: Sequence[Certificate],
    root: Certificate,
    now: datetime,
) -> ReplyProof | Refused:
    """Prove a reply to the very request whose signature field is given, or say why it is no reply.

    certificate: the one the reply names; it must chain to one of issuings and to root, be valid at `now` (aware) and
    have the reply role: without that demand a station's own certificate signs a "reply" that verifies.
    request_signature_field: of the request as sent, kept by the sender, never taken from the reply. Refused with
    `signature-missing`, `malformed`, `unsupported-media-type`, `signature-invalid` or judge's slugs. What is refused
    decides nothing.
    Source: api s1, design s6.
    """
    read = _read_params(reply)
    if isinstance(read, Refused):
        return read
    found, lines = read
    if found["keyid"] != certificate.keyid:
        return Refused("signature-invalid", "keyid names another certificate")
    if certificate.role is not Role.REPLY:
        return Refused("signature-invalid", "the certificate has not the reply role")
    slug = judge_among(certificate, issuings, root, now)
    if slug is not None:
        return Refused(slug, "the reply's certificate is not valid here and now")
    if (found[1] is not None) != bool(reply.body):
        return Refused("signature-invalid", "content-type must be covered exactly when there is a body")
    content_type = lines.get("content-type", "") if reply.body else ""
    if reply.body and not is_media_type(content_type):
        return Refused("unsupported-media-type", "a body needs one readable Content-Type")
    digest = content_digest(reply.body)
    if lines.get("content-digest") != digest:
        return Refused("signature-invalid", "Content-Digest must be sha-256=:…: of the body, once")
    signature = read_signature(lines["signature"])
    if signature is None or not fits_alg(found["alg"], signature[1]):
        return Refused("signature-invalid", "Signature must be bm=:…: in padded base64, as long as its alg demands")
    if not is_signature_field(request_signature_field):
        return Refused("signature-invalid", "the request's signature field is not :…:")
    base = _base(reply.status, digest, content_type, request_signature_field, lines["signature-input"][3:])
    if not holds(certificate, found["alg"], base, signature[1]):
        return Refused("signature-invalid", "the signature does not prove this reply to this request")
    return ReplyProof(
        status=reply.status,
        body=reply.body,
        content_type=content_type,
        created=int(found["created"]),
        keyid=found["keyid"],
        base=base,
        signature=signature[1],
    )


def _read_params(reply: ReplyHead) -> tuple[re.Match[str], dict[str, str]] | Refused:
    lines = collect_lines(reply.headers)
    if isinstance(lines, Refused):
        return lines
    if "signature-input" not in lines or "signature" not in lines:
        return Refused("signature-missing", "Signature-Input and Signature are required")
    found = _INPUT.fullmatch(lines["signature-input"])
    # Four parameters matched; if none of the four names is missing, none can have come twice.
    if found is None or None in found.group("created", "keyid", "alg", "tag"):
        return Refused("signature-invalid", "Signature-Input is not of the profile bianmin-reply-v1")
    return found, lines
