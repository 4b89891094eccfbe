"""Certificates as the rooms above use them; the rules are pure and stand in certs/core/certificates.py."""

from certs.core.certificates import (
    ARC,
    ROLE_OIDS,
    Certificate,
    CertificateError,
    PublicKey,
    Role,
    implied_alg,
    judge,
    parse_certificate,
)

__all__ = [
    "ARC",
    "ROLE_OIDS",
    "Certificate",
    "CertificateError",
    "PublicKey",
    "Role",
    "implied_alg",
    "judge",
    "parse_certificate",
]
