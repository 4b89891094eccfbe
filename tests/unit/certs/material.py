"""What the tests of certs/ share: the worked vectors, and a signer that will sign anything."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.certificates import Certificate, parse_certificate
from certs.core.profile import ReplyHead, RequestHead, SignedRequest, read_request
from certs.keys import PemSigner, PrivateKey

VECTORS = Path(__file__).parents[2] / "vectors" / "signature"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
CREATED = int(NOW.timestamp())
AUTHORITY = "pay.bianmin.example:8443"
AUTHORITIES = frozenset({AUTHORITY})
BODY = b'{"service":"power.bill","biller_account":"4600123456","amount_fen":12345,"terminal_trace":"000123"}'
KEY = "T1-20261124-000123"
NONCE = "bm-test-nonce-0001"
REQUESTS = ("post-ec", "get-ec", "get-noquery-ec", "post-rsa", "get-noquery-rsa")


@cache
def vectors() -> dict[str, dict[str, Any]]:
    """Every worked case by name."""
    return {case["name"]: case for case in json.loads((VECTORS / "vectors.json").read_text())}


@cache
def certificate(name: str) -> Certificate:
    """A certificate of the vectors: station, station_rsa, gateway, issuing, root."""
    return parse_certificate((VECTORS / f"{name}.cert.pem").read_bytes())


@cache
def private_key(name: str) -> PrivateKey:
    """A key of the vectors: station, station_rsa, gateway."""
    key = load_pem_private_key((VECTORS / f"{name}.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


@cache
def signer(name: str) -> PemSigner:
    """A signer of the vectors."""
    return PemSigner(certificate(name), private_key(name))


def wire(name: str) -> tuple[list[str], list[tuple[str, str]], bytes]:
    """First line (split), header lines and body of a vector as they are on the wire."""
    first, *lines = (VECTORS / f"{name}.head").read_bytes().decode().removesuffix("\r\n\r\n").split("\r\n")
    pairs = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
    return first.split(" "), pairs, (VECTORS / f"{name}.body").read_bytes()


def request_head(name: str) -> RequestHead:
    """A request vector."""
    (method, target, _), lines, body = wire(name)
    return RequestHead(method, target, lines, body)


def reply_head(name: str = "reply-ec") -> ReplyHead:
    """The reply vector."""
    (_, status, *_), lines, body = wire(name)
    return ReplyHead(int(status), lines, body)


def accept(head: RequestHead) -> SignedRequest:
    """Read a request that must be readable."""
    read = read_request(head, AUTHORITIES)
    assert isinstance(read, SignedRequest), read
    return read


def replaced(lines: Sequence[tuple[str, str]], name: str, value: str | None) -> list[tuple[str, str]]:
    """Header lines with one changed, or gone."""
    kept = [(n, v if n.lower() != name.lower() else value) for n, v in lines]
    return [(n, v) for n, v in kept if v is not None]


def digest_of(body: bytes) -> str:
    """Content-Digest, written down once more."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass(kw_only=True)
class Loose:
    """A request whose signature always holds, however far it strays from the profile. Written from RFC 9421 alone.

    None for covered, params, digest or signature_text means: as the profile wants it.
    """

    by: str = "station"
    method: str = "POST"
    target: str = "/v1/payments"
    host: str = AUTHORITY
    authority: str = AUTHORITY
    body: bytes = BODY
    content_type: str | None = "application/json"
    key: str | None = KEY
    digest: str | None = None
    covered: Sequence[str] | None = None
    params: str | None = None
    alg: str | None = None
    created: int = CREATED
    expires: int = CREATED + 300
    nonce: str = NONCE
    gap: str = " "
    extra: Sequence[tuple[str, str]] = ()

    def components(self) -> list[str]:
        """What is covered."""
        if self.covered is not None:
            return list(self.covered)
        names = ["@method", "@authority", "@path", "@query", "content-digest"]
        names += ["content-type"] * bool(self.body) + ["idempotency-key"] * (self.key is not None)
        return [f'"{name}"' for name in names]

    def parameters(self) -> str:
        """Everything after the components."""
        if self.params is not None:
            return self.params.replace("KEYID", signer(self.by).keyid)
        return (
            f';created={self.created};expires={self.expires};nonce="{self.nonce}";keyid="{signer(self.by).keyid}"'
            f';alg="{self.alg or signer(self.by).alg}";tag="bianmin-v1"'
        )

    def head(self) -> RequestHead:
        """Sign it and put it together."""
        lines = [("Host", self.host), ("Content-Digest", self.digest or digest_of(self.body))]
        if self.content_type is not None and (self.body or self.covered):
            lines.append(("Content-Type", self.content_type))
        if self.key is not None:
            lines.append(("Idempotency-Key", self.key))
        lines.extend(self.extra)
        path, mark, query = self.target.partition("?")
        values = {
            "@method": self.method,
            "@authority": self.authority,
            "@path": path,
            "@query": f"?{query}",
            "@request-target": path + mark + query,
        }
        for name in {name.lower() for name, _ in lines}:
            values[name] = ", ".join(value for n, value in lines if n.lower() == name)
        rows = [f"{one}: {values[one.split(';')[0].strip(chr(34))]}\n" for one in self.components()]
        params = f"({self.gap.join(self.components())}){self.parameters()}"
        base = "".join(rows) + f'"@signature-params": {params}'
        signature = base64.b64encode(signer(self.by).sign(base.encode())).decode()
        lines += [("Signature-Input", f"bm={params}"), ("Signature", f"bm=:{signature}:")]
        return RequestHead(self.method, self.target, lines, self.body)
