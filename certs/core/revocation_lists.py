"""Certificate revocation lists: read one, and judge whether it may be relied on. What is stale fails closed.

For the lists of partners' CAs, and for our own once more before they are let out (RFC 5280 s5, s6.3).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from certs.core.certificates import Certificate

SIZE_MAX = 8 * 1024 * 1024
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class Reason(StrEnum):
    """Why a certificate was revoked (RFC 5280 s5.3.1; a hold is a freeze, and a freeze is in no list of ours)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


class CrlError(ValueError):
    """The bytes are no revocation list this service can rely on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """One entry. serial: of the certificate. at: aware, as the CA dates it."""

    serial: int
    at: datetime
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One list as read; nothing about it is believed before judge_crl. sha256: of its DER, hex."""

    der: bytes = field(repr=False)
    sha256: str
    number: int
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, Revoked] = field(repr=False)
    parsed: x509.CertificateRevocationList = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest list of this CA that was relied on."""

    number: int
    sha256: str


def read_crl(data: bytes) -> RevocationList:
    """Read one list, PEM (one block) or DER, of at most SIZE_MAX bytes. Linear in its entries.

    Raises CrlError: not readable, no number, no nextUpdate, a delta or indirect or partial list (a critical extension),
    one serial twice, a reason the standard does not know.
    """
    if len(data) > SIZE_MAX:
        raise CrlError(f"{len(data)} bytes, at most {SIZE_MAX}")
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            if data.count(b"-----BEGIN") != 1:
                raise CrlError("expected one revocation list")
            parsed = x509.load_pem_x509_crl(data)
        else:
            parsed = x509.load_der_x509_crl(data)
        return _read(parsed)
    except CrlError:
        raise
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as wrong:
        raise CrlError(f"not a readable revocation list: {wrong}") from wrong


def _read(parsed: x509.CertificateRevocationList) -> RevocationList:
    number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    if any(one.critical or one.oid == ExtensionOID.DELTA_CRL_INDICATOR for one in parsed.extensions):
        raise CrlError("a delta, partial or indirect list, or one with a critical extension")
    if parsed.next_update_utc is None:
        raise CrlError("it has no nextUpdate: nobody could say when it is stale")
    der, revoked = parsed.public_bytes(Encoding.DER), {}
    for entry in parsed:
        if entry.serial_number in revoked:
            raise CrlError(f"serial {entry.serial_number:x} stands there twice")
        revoked[entry.serial_number] = _read_entry(entry)
    return RevocationList(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        number=number,
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        revoked=revoked,
        parsed=parsed,
    )


def _read_entry(entry: x509.RevokedCertificate) -> Revoked:
    reason = Reason.UNSPECIFIED
    for one in entry.extensions:
        if one.critical:
            raise CrlError(f"serial {entry.serial_number:x}: a critical extension, so it may speak for another CA")
        if one.oid == CRLEntryExtensionOID.CRL_REASON:
            assert isinstance(one.value, x509.CRLReason)
            if one.value.reason is x509.ReasonFlags.remove_from_crl:
                raise CrlError(f"serial {entry.serial_number:x}: removal belongs to a delta list")
            reason = Reason(one.value.reason.value)
    return Revoked(serial=entry.serial_number, at=entry.revocation_date_utc, reason=reason)


def judge_crl(crl: RevocationList, issuer: Certificate, now: datetime, *, seen: Seen | None = None) -> str | None:
    """Whether a list may be relied on at `now` (aware): None, or the slug of its refusal.

    seen: the newest one relied on so far, None for the first.
    `crl-wrong-issuer`: not named or not key-identified as issuer's, or issuer may not sign lists.
    `crl-bad-signature`: not by issuer's key, or over SHA-1, or by a key below P-256 or RSA 2048.
    `crl-replayed`: older than the newest seen, or the same number over other content.
    `crl-not-yet`: thisUpdate is still to come. `crl-stale`: now is nextUpdate or later; the caller refuses whom it
    would have asked about, and raises an alarm.
    """
    if not _names(crl, issuer):
        return "crl-wrong-issuer"
    if not _is_signed(crl.parsed, issuer):
        return "crl-bad-signature"
    if seen is not None and (crl.number < seen.number or (crl.number == seen.number and crl.sha256 != seen.sha256)):
        return "crl-replayed"
    if now < crl.this_update:
        return "crl-not-yet"
    return None if now < crl.next_update else "crl-stale"


def may_sign_lists(issuer: Certificate) -> bool:
    """Whether a certificate is an authority's that may sign revocation lists (RFC 5280 s6.3.3); nothing is verified."""
    extensions = issuer.parsed.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and usage.crl_sign


def names_issuer(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether a certificate names an authority as its issuer, by name and, where it says one, by key identifier."""
    if certificate.parsed.issuer != issuer.parsed.subject:
        return False
    try:
        extensions = certificate.parsed.extensions
        named = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return named is None or named == own


def _names(crl: RevocationList, issuer: Certificate) -> bool:
    try:
        own = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        named = crl.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return False
    return may_sign_lists(issuer) and named == own and crl.parsed.issuer == issuer.parsed.subject


def _is_signed(parsed: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    key = issuer.public_key
    strong = isinstance(key.curve, _CURVES) if isinstance(key, ec.EllipticCurvePublicKey) else key.key_size >= 2048
    try:
        if not strong or not isinstance(parsed.signature_hash_algorithm, _HASHES):
            return False
        return parsed.is_signature_valid(key)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
