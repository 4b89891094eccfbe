"""A partner's signature over bytes of its: notices, files."""

from dataclasses import dataclass
from typing import Any, Protocol

from certs.core.certificates import parse_certificate
from certs.core.signatures import holds
from gateway.core.partner_keys import FindPartnerKeys, PartnerKeys


class Runs(Protocol):
    """Whoever gives an item to the book: a Store, a desk."""

    async def run(self, item: Any) -> Any:
        """See Store.run."""
        ...


@dataclass(frozen=True, slots=True)
class Proven:
    """It is the partner's. keyid: by which of its certificates."""

    keyid: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """It proves nothing. slug: as contracts.problems has them; detail: for staff, without a byte of the message."""

    slug: str
    detail: str


async def partner_signature(book: Runs, biller: str, data: bytes, signature: bytes, keyid: str) -> Proven | Unproven:
    """Whether `signature` over `data` is by a certificate of this biller that counts now, at the book's clock.

    signature: r‖s of 64 bytes for P-256, PKCS#1 v1.5 over SHA-256 for RSA. keyid: the certificate the message names;
    "" where it names none: then each that counts is tried (two at most, the one in use and its successor).
    A certificate whose CA has no fresh revocation list proves nothing, and raises an alarm. Raises StoreError.
    """
    found = await book.run(FindPartnerKeys(biller=biller, use="sign", keyid=keyid))
    assert isinstance(found, PartnerKeys)
    for pinned in found.keys:
        certificate = parse_certificate(pinned.der)
        if certificate.keyid == pinned.keyid and holds(certificate, certificate.alg, data, signature):
            return Proven(pinned.keyid)
    if found.keys:
        return Unproven("signature-invalid", "the signature is not by a certificate of this partner")
    slug = next(iter(found.refused.values()), "certificate-unknown")
    return Unproven(slug, f"of {len(found.refused)} certificates none counts now")
