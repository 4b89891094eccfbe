"""Kinds of keys and what each may do here: a plug-in point. SM2 is recognised and watched, and honestly refused."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.core.certificate_fields import read_fields


class KeyKind(StrEnum):
    """What kind of key a certificate holds. Only EC_P256 and RSA sign and verify here (api s1)."""

    EC_P256 = "ec-p256"
    RSA = "rsa"
    SM2 = "sm2"
    OTHER = "other"


# AlgorithmIdentifier of a SubjectPublicKeyInfo: id-ecPublicKey with the curve sm2p256v1 (GB/T 35276, RFC 8998 s3.2.1).
_SM2_SPKI = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """What can be told of any certificate, also of one whose key is not supported. Nothing of it is verified.

    keyid: SHA-256 of the DER, 64 lower-case hex digits; public_key_sha256: the same of its SubjectPublicKeyInfo.
    serial: the certificate's. not_after is exclusive.
    """

    der: bytes
    keyid: str
    public_key_sha256: str
    kind: KeyKind
    serial: int
    subject: str
    not_before: datetime
    not_after: datetime


def read_dates(data: bytes) -> Dates:
    """Kind, serial, subject (RFC 4514 text) and dates of one certificate, DER or PEM; ValueError if it is none.

    For watching what is about to expire: an SM2 certificate is read here, though no signature of it can be checked.
    Source: domain s10 (cryptography loads SM2 certificates, but neither their key nor their signature).
    """
    pem = data.lstrip().startswith(b"-----BEGIN")
    parsed = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    der = parsed.public_bytes(Encoding.DER)
    return Dates(
        der=der,
        keyid=hashlib.sha256(der).hexdigest(),
        public_key_sha256=hashlib.sha256(read_fields(der).spki).hexdigest(),
        kind=key_kind(parsed),
        serial=parsed.serial_number,
        subject=parsed.subject.rfc4514_string(),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
    )


def key_kind(parsed: x509.Certificate) -> KeyKind:
    """The kind of a certificate's key, without using the key; size and exponent are implied_alg's to judge."""
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return KeyKind.SM2 if _SM2_SPKI in parsed.tbs_certificate_bytes else KeyKind.OTHER
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyKind.EC_P256 if isinstance(key.curve, ec.SECP256R1) else KeyKind.OTHER
    return KeyKind.RSA if isinstance(key, rsa.RSAPublicKey) else KeyKind.OTHER
