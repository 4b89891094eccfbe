"""Signed requests: read one, make one (api s1)."""

import re
from typing import NamedTuple

from certs.core.headers import (
    ALG,
    ALG_EC,
    KEYID,
    NONCE,
    TIME,
    collect_lines,
    content_digest,
    fits_alg,
    is_media_type,
    normal_authority,
    read_signature,
    write_signature,
)
from certs.core.messages import Refused, RequestHead, SignedRequest
from certs.core.targets import BadTarget, read_target
from contracts.signer import Signer

LIFETIME_MAX_S = 300
"""Longest time between created and expires, in seconds."""
CLOCK_SKEW_S = 60
"""How far in the future `created` may lie, in seconds."""

_INPUT = re.compile(
    r'bm=\("@method" "@authority" "@path" "@query" "content-digest"( "content-type")?( "idempotency-key")?\)'
    rf'(?:;created=(?P<created>{TIME})|;expires=(?P<expires>{TIME})|;nonce="(?P<nonce>{NONCE})"'
    rf'|;keyid="(?P<keyid>{KEYID})"|;alg="(?P<alg>{ALG})"|;tag="(?P<tag>bianmin-v1)"){{6}}'
)
_METHOD = re.compile(r"[A-Z]{1,16}")
_KEY = re.compile(NONCE)
_NO_BODY = frozenset({"GET", "HEAD"})


class _Proof(NamedTuple):
    covers_type: bool
    covers_key: bool
    created: int
    expires: int
    nonce: str
    keyid: str
    alg: str
    params: str
    signature: bytes
    field: str


def read_request(head: RequestHead, authorities: frozenset[str], *, scheme: str = "https") -> SignedRequest | Refused:
    """Read a request under the signing profile, byte for byte, or say why it is refused.

    authorities: the configured ones, each in the form of normal_authority. scheme: the public one (default port).
    Refused with `malformed`: method, target, doubled lines, a body on GET or HEAD, Host, the form of Idempotency-Key;
    `unsupported-media-type`: Content-Encoding, a body without a readable Content-Type; `signature-missing`: no
    Signature-Input or no Signature; `signature-invalid`: everything else the profile does not name.
    The result is well formed, not yet believed: call verify, check_window and look the nonce up.
    HTTP version and transfer framing are the server's to check. Cost is linear in the size of the head. Source: api s1.
    """
    target = read_target(head.target)
    if isinstance(target, BadTarget):
        return Refused("malformed", f"request target: {target.reason}")
    lines = collect_lines(head.headers)
    if isinstance(lines, Refused):
        return lines
    refused = _refuse_shape(head, lines)
    if refused is not None:
        return refused
    authority = normal_authority(lines.get("host", ""), scheme)
    if authority is None:
        return Refused("malformed", "Host must be one host or host:port")
    if authority not in authorities:
        return Refused("signature-invalid", "Host is not an authority of this service")
    proof = _read_proof(lines)
    if isinstance(proof, Refused):
        return proof
    content_type = lines["content-type"] if head.body else ""
    key = lines.get("idempotency-key")
    if proof.covers_type != bool(head.body):
        return Refused("signature-invalid", "content-type must be covered exactly when there is a body")
    if proof.covers_key != (key is not None):
        return Refused("signature-invalid", "idempotency-key must be covered exactly when it is sent")
    digest = content_digest(head.body)
    if lines.get("content-digest") != digest:
        return Refused("signature-invalid", "Content-Digest must be sha-256=:…: of the body, once")
    typed = f'"content-type": {content_type}\n' if content_type else ""
    keyed = f'"idempotency-key": {key}\n' if key is not None else ""
    base = (
        f'"@method": {head.method}\n"@authority": {authority}\n"@path": {target.path}\n"@query": ?{target.query}\n'
        f'"content-digest": {digest}\n{typed}{keyed}"@signature-params": {proof.params}'
    )
    return SignedRequest(
        method=head.method,
        authority=authority,
        target=target.raw,
        path=target.path,
        query=target.query,
        body=head.body,
        content_type=content_type,
        idempotency_key=key,
        created=proof.created,
        expires=proof.expires,
        nonce=proof.nonce,
        keyid=proof.keyid,
        alg=proof.alg,
        base=base.encode("ascii"),
        signature=proof.signature,
        signature_field=proof.field,
    )


def _refuse_shape(head: RequestHead, lines: dict[str, str]) -> Refused | None:
    if not _METHOD.fullmatch(head.method):
        return Refused("malformed", "the method must be upper-case letters")
    if head.body:
        if head.method in _NO_BODY:
            return Refused("malformed", f"{head.method} takes no body")
        if not is_media_type(lines.get("content-type", "")):
            return Refused("unsupported-media-type", "a body needs one readable Content-Type")
    key = lines.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        return Refused("malformed", "Idempotency-Key must be 16-64 of A-Za-z0-9_-, not quoted")
    return None


def _read_proof(lines: dict[str, str]) -> _Proof | Refused:
    given, signed = lines.get("signature-input"), lines.get("signature")
    if given is None or signed is None:
        return Refused("signature-missing", "Signature-Input and Signature are required")
    found = _INPUT.fullmatch(given)
    if found is None:
        return Refused("signature-invalid", "Signature-Input is not of the profile bianmin-v1")
    typed, keyed, created, expires, nonce, keyid, alg, tag = found.groups()
    # Six parameters matched; if none of the six names is missing, none can have come twice.
    if not (created and expires and nonce and keyid and alg and tag):
        return Refused("signature-invalid", "Signature-Input must name each of its six parameters once")
    begin, end = int(created), int(expires)
    if not begin < end <= begin + LIFETIME_MAX_S:
        return Refused("signature-invalid", f"expires must lie 1-{LIFETIME_MAX_S} s after created")
    signature = read_signature(signed)
    if signature is None or not fits_alg(alg, signature[1]):
        return Refused("signature-invalid", "Signature must be bm=:…: in padded base64, as long as its alg demands")
    return _Proof(
        covers_type=typed is not None,
        covers_key=keyed is not None,
        created=begin,
        expires=end,
        nonce=nonce,
        keyid=keyid,
        alg=alg,
        params=given[3:],
        signature=signature[1],
        field=signature[0],
    )


def check_window(created: int, expires: int, now: int) -> bool:
    """Whether a signature may be accepted at `now`: created - 60 ≤ now ≤ expires, both ends included; Unix seconds."""
    return created - CLOCK_SKEW_S <= now <= expires


def sign_request(
    signer: Signer,
    *,
    method: str,
    authority: str,
    target: str,
    body: bytes,
    content_type: str,
    idempotency_key: str | None,
    created: int,
    expires: int,
    nonce: str,
    scheme: str = "https",
) -> dict[str, str]:
    """The headers that make a request a signed one: send exactly these beside Host, and the target unchanged.

    authority: as `@authority` (lower case, without the default port of scheme). content_type: sent and covered only
    with a body. created, expires: Unix seconds. nonce: fresh for every request. The only effect is the signer's own
    (it may block).
    Raises ValueError, before anything is signed, for a request that read_request would refuse. Source: api s1.
    """
    headers = {"Content-Digest": content_digest(body)}
    covered = '"@method" "@authority" "@path" "@query" "content-digest"'
    if body:
        headers["Content-Type"] = content_type
        covered += ' "content-type"'
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
        covered += ' "idempotency-key"'
    headers["Signature-Input"] = (
        f'bm=({covered});created={created};expires={expires};nonce="{nonce}"'
        f';keyid="{signer.keyid}";alg="{signer.alg}";tag="bianmin-v1"'
    )
    # The reader itself builds the base, over a placeholder: what it would refuse is never signed.
    blank = write_signature(bytes(64 if signer.alg == ALG_EC else 256))
    lines = [("Host", authority), *headers.items(), ("Signature", blank)]
    read = read_request(RequestHead(method, target, lines, body), frozenset({authority}), scheme=scheme)
    if isinstance(read, SignedRequest):
        headers["Signature"] = write_signature(signer.sign(read.base))
        return headers
    raise ValueError(f"not a request of the profile: {read.detail}")
