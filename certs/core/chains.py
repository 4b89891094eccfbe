"""Which of several issuing CAs a certificate is under, and whether it stands there.

Issuing CAs of two periods live side by side: the old one verifies to its end while the new one issues. The verifier
holds all of them; none is ever taken from a sender, so there is no path to build and nothing to explode.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from cryptography import x509

from certs.core.certificates import Certificate, judge

ISSUERS_MAX = 16
"""Issuing CAs held at once; one period is years."""
_NOBODY: Mapping[str, str] = MappingProxyType({})


def issuer_of(certificate: Certificate, issuings: Sequence[Certificate]) -> Certificate | None:
    """The issuing CA that a certificate names by name and by key identifier; None if it is none or more than one.

    Nothing is verified. Raises ValueError for more than ISSUERS_MAX authorities.
    """
    if len(issuings) > ISSUERS_MAX:
        raise ValueError(f"{len(issuings)} issuing CAs, at most {ISSUERS_MAX}")
    named = _named_key(certificate)
    found = [
        one
        for one in set(issuings)
        if named is not None and _own_key(one) == named and one.parsed.subject == certificate.parsed.issuer
    ]
    return found[0] if len(found) == 1 else None


def judge_among(
    certificate: Certificate,
    issuings: Sequence[Certificate],
    root: Certificate,
    now: datetime,
    *,
    registered: Mapping[str, str] = _NOBODY,
) -> str | None:
    """certificates.judge under the issuing CA that the certificate names: None, or the slug of its refusal.

    registered: keyid by public_key_sha256; a key that is registered with another certificate is `certificate-unknown`
    (a second certificate, a twin with the signature (r, n-s), whoever made it).
    """
    if registered.get(certificate.public_key_sha256, certificate.keyid) != certificate.keyid:
        return "certificate-unknown"
    issuing = issuer_of(certificate, issuings)
    return "certificate-unknown" if issuing is None else judge(certificate, issuing, root, now)


def _named_key(certificate: Certificate) -> bytes | None:
    try:
        return certificate.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None


def _own_key(certificate: Certificate) -> bytes | None:
    try:
        return certificate.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
