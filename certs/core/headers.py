"""Header lines of the signing profile: which may appear, how often, in what form (api s1)."""

import hashlib
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence

from certs.core.messages import Refused

ALG_EC = "ecdsa-p256-sha256"
ALG_RSA = "rsa-v1_5-sha256"
TIME = r"[1-9][0-9]{9}"
KEYID = r"[0-9a-f]{64}"
NONCE = r"[A-Za-z0-9_\-]{16,64}"
ALG = rf"{ALG_EC}|{ALG_RSA}"

_DEFAULT_PORTS: Mapping[str, str] = {"https": ":443", "http": ":80"}
_ONCE = frozenset(
    {"host", "content-type", "content-length", "content-digest", "idempotency-key", "signature-input", "signature"}
)
_HOST = re.compile(r"(?:[A-Za-z0-9_\-.]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?")
# The last character before the padding carries spare bits; only zero bits are canonical (RFC 4648 s3.5).
_BASE64 = r"(?:[A-Za-z0-9+/]{4}){21,170}(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"
_SIGNATURE = re.compile(rf"bm=(:({_BASE64}):)")
_FIELD = re.compile(rf":{_BASE64}:")
_TCHAR = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]"
_MEDIA_TYPE = re.compile(
    rf"{_TCHAR}{{1,64}}/{_TCHAR}{{1,64}}"
    rf"(?: {{0,8}}; {{0,8}}{_TCHAR}{{1,64}}=(?:{_TCHAR}{{1,128}}|\"[ !#-\[\]-~]{{0,128}}\")){{0,4}}"
)


def collect_lines(headers: Sequence[tuple[str, str]]) -> dict[str, str] | Refused:
    """The header lines the profile reads, by lower-case name; all others are left unread.

    Refuses a line that may appear once and appears twice (`malformed`), Content-Encoding in any form
    (`unsupported-media-type`: the digest is of the bytes that are used), and names that only case folding outside
    ASCII makes equal (the Kelvin sign folds to `k`). Linear in the number and length of the lines.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered in _ONCE:
            if lowered in found or not name.isascii():
                return Refused("malformed", f"more than one {lowered} line, or its name is not ASCII")
            found[lowered] = value
        elif lowered == "content-encoding":
            return Refused("unsupported-media-type", "Content-Encoding is not accepted")
    return found


def content_digest(body: bytes) -> str:
    """The one accepted form of Content-Digest (RFC 9530) for a body: `sha-256=:…:`, padded base64, one member."""
    return f"sha-256=:{b2a_base64(hashlib.sha256(body).digest(), newline=False).decode()}:"


def normal_authority(host: str, scheme: str = "https") -> str | None:
    """Host as `@authority`: lower case, without the scheme's default port; None if it is not host or host:port.

    scheme: the public one, `https` or `http`, whatever a proxy speaks behind it. Ports have no leading zero.
    Raises KeyError for another scheme. Also for checking configured authorities: they must equal their normal form.
    """
    if not _HOST.fullmatch(host):
        return None
    return host.lower().removesuffix(_DEFAULT_PORTS[scheme])


def is_media_type(text: str) -> bool:
    """Whether the text is one media type with at most four parameters (RFC 9110 s8.3.1), bounded in length."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def read_signature(line: str) -> tuple[str, bytes] | None:
    """A Signature line with the one label `bm` -> (`:…:`, bytes); None if not canonical base64 of 63-512 bytes."""
    found = _SIGNATURE.fullmatch(line)
    return None if found is None else (found[1], a2b_base64(found[2]))


def write_signature(signature: bytes) -> str:
    """Signature bytes as a Signature line with the label `bm`."""
    return f"bm=:{b2a_base64(signature, newline=False).decode()}:"


def is_signature_field(text: str) -> bool:
    """Whether the text is what follows `bm=` in a Signature line."""
    return _FIELD.fullmatch(text) is not None


def fits_alg(alg: str, signature: bytes) -> bool:
    """Whether a signature has a length its algorithm can give: 64 bytes for P-256, 256-512 for RSA 2048-4096."""
    return len(signature) == 64 if alg == ALG_EC else 256 <= len(signature) <= 512
