"""The values of the signing profile: messages as received, and what was proven about them (api s1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request as received. headers: every line in order, names in any case, values without surrounding blanks."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """A reply as received. headers as in RequestHead."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message is no proof. slug: one of contracts.problems. detail: English, safe to show."""

    slug: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request whose form is the profile's. Its signature is NOT verified yet and its window is not checked.

    authority: normalised. target: raw; path and query are its parts (query without `?`, "" if none).
    content_type: "" without a body, whatever header was sent: it is not covered then. created, expires: Unix seconds.
    base: the signature base as verified. signature: r‖s of 64 bytes, or RSA of 256-512 bytes.
    signature_field: the value after `bm=` of the Signature header (`:…:`), which the reply covers.
    """

    method: str
    authority: str
    target: str
    path: str
    query: str
    body: bytes = field(repr=False)
    content_type: str
    idempotency_key: str | None
    created: int
    expires: int
    nonce: str
    keyid: str
    alg: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signature_field: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReply:
    """A reply as its signer made it. headers: send exactly these with the status and body that were given."""

    headers: dict[str, str]
    keyid: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyProof:
    """A reply that is proven: status and body only, other headers are not. created: Unix seconds."""

    status: int
    body: bytes = field(repr=False)
    content_type: str
    created: int
    keyid: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)
