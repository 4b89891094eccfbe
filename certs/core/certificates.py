"""Certificates: read one, and judge one by our own rules (design s6)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from certs.core.algorithms import KeyKind, key_kind
from certs.core.certificate_fields import KEY_USAGE, Fields, read_fields
from certs.core.der import DerError, read_der
from certs.core.headers import ALG_EC, ALG_RSA
from certs.core.pem import is_pem, read_pem

ARC = "2.25.142285106485850155371164267729557364481"
"""The arc of our private EKUs, fixed once."""

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Role(StrEnum):
    """What a certificate's holder may sign. Each certificate has exactly one."""

    STATION = "station"
    OPERATOR = "operator"
    PARTNER = "partner"
    REPLY = "reply"
    ARCHIVE = "archive"


ROLE_OIDS: Mapping[Role, str] = {role: f"{ARC}.{number}" for number, role in enumerate(Role, start=1)}
"""The EKU of each role: .1 station, .2 operator, .3 partner, .4 reply, .5 archive."""

_ROLES = {oid: role for role, oid in ROLE_OIDS.items()}
_KNOWN_CRITICAL = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE})
# What may stand beside them. Not a second place for names: a subjectAltName is refused, whatever it says.
_KNOWN = _KNOWN_CRITICAL | {
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.CERTIFICATE_POLICIES,
}


class CertificateError(ValueError):
    """The bytes are no certificate this service can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One X.509 certificate as read; nothing about it is believed yet. Equal and hashed by its DER bytes.

    keyid: SHA-256 of the DER, 64 lower-case hex digits. public_key_sha256: the same of the key's SubjectPublicKeyInfo
    (a key is registered once). institution_code, operator, usb_key_serial: subject OU, CN, serialNumber; "" if absent.
    roles: of its EKUs under ARC. alg: the one its key implies, "" for a key outside the profile (curve, size).
    """

    der: bytes = field(repr=False)
    keyid: str = field(compare=False)
    public_key_sha256: str = field(compare=False)
    serial: int = field(compare=False)
    institution_code: str = field(compare=False)
    operator: str = field(compare=False)
    usb_key_serial: str = field(compare=False)
    not_before: datetime = field(compare=False)
    not_after: datetime = field(compare=False)
    roles: tuple[Role, ...] = field(compare=False)
    alg: str = field(compare=False)
    public_key: PublicKey = field(compare=False, repr=False)
    parsed: x509.Certificate = field(compare=False, repr=False)

    @property
    def role(self) -> Role | None:
        """The one role, or None if it has none or several."""
        return self.roles[0] if len(self.roles) == 1 else None


def parse_certificate(data: bytes) -> Certificate:
    """Read one certificate, strict DER or PEM (one block). Raises CertificateError for anything else, and for keys that
    are neither EC nor RSA, repeated extensions, a serial that is not positive, more than 16 KiB, and a subject that
    names OU, CN or serialNumber twice."""
    try:
        der = read_pem(data, "CERTIFICATE", "X509 CERTIFICATE") if is_pem(data) else data
        # Ours first: the library takes negative serials, and passes over what it need not look at.
        if read_fields(der).serial <= 0:
            raise CertificateError("its serial is not positive")
        return _read(x509.load_der_x509_certificate(der))
    except CertificateError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as wrong:
        raise CertificateError(f"not a readable certificate: {wrong}") from wrong


def _read(parsed: x509.Certificate) -> Certificate:
    try:
        key = parsed.public_key()
    except UnsupportedAlgorithm as wrong:
        if key_kind(parsed) is KeyKind.SM2:
            raise CertificateError("its key is SM2, which is not supported here; only its dates can be read") from wrong
        raise
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise CertificateError("its key is neither EC nor RSA")
    der = parsed.public_bytes(Encoding.DER)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Certificate(
        der=der,
        keyid=hashlib.sha256(der).hexdigest(),
        public_key_sha256=hashlib.sha256(spki).hexdigest(),
        serial=parsed.serial_number,
        institution_code=_subject(parsed, NameOID.ORGANIZATIONAL_UNIT_NAME),
        operator=_subject(parsed, NameOID.COMMON_NAME),
        usb_key_serial=_subject(parsed, NameOID.SERIAL_NUMBER),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        roles=tuple(_ROLES[oid] for oid in _extended_usages(parsed) if oid in _ROLES),
        alg=implied_alg(key),
        public_key=key,
        parsed=parsed,
    )


def implied_alg(key: PublicKey) -> str:
    """The algorithm a key implies: P-256, or RSA of 2048-4096 bits with an odd exponent from 65537 up; else ""."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ALG_EC if isinstance(key.curve, ec.SECP256R1) else ""
    exponent = key.public_numbers().e
    return ALG_RSA if 2048 <= key.key_size <= 4096 and exponent >= 65537 and exponent % 2 else ""


def _subject(parsed: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = parsed.subject.get_attributes_for_oid(oid)
    if len(values) > 1:
        raise CertificateError("its subject names one attribute twice")
    if not values:
        return ""
    value = values[0].value
    if not isinstance(value, str):
        raise CertificateError("its subject is not text")
    return value


def _extended_usages(parsed: x509.Certificate) -> list[str]:
    try:
        usages = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return []
    return [oid.dotted_string for oid in usages]


def judge(certificate: Certificate, issuing: Certificate, root: Certificate, now: datetime) -> str | None:
    """Whether a leaf certificate stands under our rules at `now` (aware): None, or the slug of its refusal.

    `certificate-unknown`: not signed by issuing, issuing not by root, not exactly one role as its only EKU, KeyUsage
    not critical digitalSignature (nonRepudiation may stand beside it), not marked as no CA, a key outside the profile,
    a role's subject incomplete, key identifiers or names that do not link byte for byte, an extension we do not know
    or that gives a second name (subjectAltName), a serial that is not positive in 20 bytes, bytes that are not DER.
    `certificate-expired`: not within notBefore ≤ now < notAfter, notAfter exclusive, for each of the three.
    Revocation, binding and registration live in SQL, not here. The timeless part is cached by the three DERs.
    Source: design s6, libraries s4.7 (what ClientVerifier lets through).
    """
    if not _stands(certificate, issuing, root):
        return "certificate-unknown"
    if not all(one.not_before <= now < one.not_after for one in (certificate, issuing, root)):
        return "certificate-expired"
    return None


@lru_cache(maxsize=4096)
def _stands(certificate: Certificate, issuing: Certificate, root: Certificate) -> bool:
    return stands_as_issuer(issuing, root) and _is_leaf(certificate) and _is_under(certificate, issuing)


@lru_cache(maxsize=64)
def stands_as_issuer(issuing: Certificate, root: Certificate) -> bool:
    """Whether an issuing CA (path length 0) stands under a self-signed root, apart from time. Cached by the DERs."""
    return (
        _is_authority(issuing, path_length=0)
        and _is_authority(root, path_length=None)
        and _is_under(issuing, root)
        and _is_under(root, root)
    )


def _is_under(certificate: Certificate, issuer: Certificate) -> bool:
    """Linked byte for byte, in DER, and signed; only a root names itself."""
    try:
        below, above = read_fields(certificate.der), read_fields(issuer.der)
        for extension in below.extensions:
            value = read_der(extension.value)
            if extension.oid == KEY_USAGE:
                value.named_bits()
    except DerError:
        return False
    is_linked = below.issuer == above.subject and (below.subject == below.issuer) is (certificate == issuer)
    return is_linked and _is_plain(below) and _signed_by(certificate, issuer)


def _is_plain(fields: Fields) -> bool:
    """A serial as RFC 5280 s4.1.2.2 wants it, one algorithm named twice, no unique identifiers."""
    serial_is_right = 0 < fields.serial < 1 << 159
    return serial_is_right and fields.inner_algorithm == fields.outer_algorithm and not fields.unique_ids


def _signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    if not isinstance(certificate.parsed.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        return False
    if not isinstance(certificate.parsed.signature_algorithm_parameters, ec.ECDSA | padding.PKCS1v15):
        return False
    try:
        certificate.parsed.verify_directly_issued_by(issuer.parsed)
        linked = certificate.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        named = issuer.parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return linked.key_identifier == named.digest


def _is_well_formed(certificate: Certificate, *, ca: bool, path_length: int | None) -> bool:
    extensions = certificate.parsed.extensions
    if any(one.oid not in (_KNOWN_CRITICAL if one.critical else _KNOWN) for one in extensions):
        return False
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return False
    if certificate.parsed.version is not x509.Version.v3 or not (constraints.critical and usage.critical):
        return False
    if constraints.value.ca is not ca or (path_length is not None and constraints.value.path_length != path_length):
        return False
    return bool(certificate.alg)


def _is_authority(certificate: Certificate, *, path_length: int | None) -> bool:
    if not _is_well_formed(certificate, ca=True, path_length=path_length):
        return False
    return certificate.parsed.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def _is_leaf(certificate: Certificate) -> bool:
    if not _is_well_formed(certificate, ca=False, path_length=None):
        return False
    usage = certificate.parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    others = (usage.key_encipherment, usage.data_encipherment, usage.key_agreement, usage.key_cert_sign, usage.crl_sign)
    if not usage.digital_signature or any(others):
        return False
    role = certificate.role
    if role is None or _extended_usages(certificate.parsed) != [ROLE_OIDS[role]]:
        return False
    if role is Role.STATION and not (certificate.institution_code and certificate.usb_key_serial):
        return False
    return bool(certificate.operator)
