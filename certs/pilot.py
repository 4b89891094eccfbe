"""The pilot CA of `bianmin init`: root, issuing CA, and one certificate per role (design s6).

For pilots, demos and tests. Its keys are files; a bureau's own CA keeps the root offline, the issuing key in a token.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from certs.certificates import ROLE_OIDS, Certificate, PublicKey, Role, implied_alg, parse_certificate
from certs.keys import PrivateKey

BACKDATED = timedelta(minutes=5)
"""Certificates and CRLs begin this much before they are made, for clocks that run behind."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one role's certificates look like. needs: the subject fields it must name."""

    days: int
    needs: frozenset[str]


_NAMED = frozenset({"operator"})
PROFILES: Mapping[Role, Profile] = {
    Role.STATION: Profile(days=730, needs=frozenset({"institution_code", "operator", "usb_key_serial"})),
    Role.OPERATOR: Profile(days=730, needs=_NAMED),
    Role.PARTNER: Profile(days=730, needs=_NAMED),
    Role.REPLY: Profile(days=730, needs=_NAMED),
    Role.ARCHIVE: Profile(days=3650, needs=_NAMED),
}
"""Bureau staff hold the operator role. An archive key's certificate outlives the six years evidence is kept."""

_ROOT_DAYS, _ISSUING_DAYS = 7300, 3660


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can sign: its certificate, its key, and the organization it names everywhere."""

    certificate: Certificate
    key: PrivateKey
    organization: str


def make_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(organization: str, now: datetime) -> Authority:
    """A self-signed root for 20 years. organization: at most 64 characters. now: aware."""
    key = make_key()
    name = _name(organization, operator=f"{organization} root"[:64])
    builder = _builder(name, name, public_key=key.public_key(), issuer_key=key.public_key(), now=now, days=_ROOT_DAYS)
    return Authority(_sign(_as_authority(builder, path_length=1), key), key, organization)


def make_issuing(root: Authority, now: datetime) -> Authority:
    """An issuing CA for ten years that may issue leaves only (path length 0)."""
    key = make_key()
    name = _name(root.organization, operator=f"{root.organization} issuing 1"[:64])
    builder = _builder(
        name,
        root.certificate.parsed.subject,
        public_key=key.public_key(),
        issuer_key=root.key.public_key(),
        now=now,
        days=_ISSUING_DAYS,
    )
    return Authority(_sign(_as_authority(builder, path_length=0), root.key), key, root.organization)


def issue(
    issuing: Authority,
    role: Role,
    public_key: PublicKey,
    *,
    operator: str,
    institution_code: str = "",
    usb_key_serial: str = "",
    now: datetime,
) -> Certificate:
    """One leaf certificate of one role for a key made elsewhere (file, token).

    operator, institution_code, usb_key_serial: subject CN, OU, serialNumber, at most 64 characters each.
    Raises ValueError for a key outside the profile, or a subject field the role needs and does not get.
    The public key's owner is not asked for a proof of possession; that belongs to the application step.
    """
    given = {"operator": operator, "institution_code": institution_code, "usb_key_serial": usb_key_serial}
    missing = sorted(name for name in PROFILES[role].needs if not given[name])
    if missing or not implied_alg(public_key):
        raise ValueError(f"a {role} certificate needs P-256 or RSA 2048-4096 and its subject; missing: {missing}")
    subject = _name(issuing.organization, **given)
    issuer = issuing.certificate.parsed.subject
    builder = (
        _builder(
            subject,
            issuer,
            public_key=public_key,
            issuer_key=issuing.key.public_key(),
            now=now,
            days=PROFILES[role].days,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(ROLE_OIDS[role])]), critical=False)
    )
    return _sign(builder, issuing.key)


def make_crl(
    issuing: Authority,
    *,
    now: datetime,
    number: int,
    valid: timedelta = timedelta(hours=24),
    revoked: Sequence[tuple[int, datetime]] = (),
) -> bytes:
    """A CRL of the issuing CA as PEM; empty unless `revoked` names (certificate serial, when).

    Kept as evidence of the moment of signing, because a later verifier ignores revocation dates. number: ever larger.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.parsed.subject)
        .last_update(now - BACKDATED)
        .next_update(now + valid)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_id(issuing.key.public_key()), critical=False)
    )
    for serial, when in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuing.key, SHA256()).public_bytes(Encoding.PEM)


def write_certificate(file: Path, *certificates: Certificate) -> None:
    """Write certificates as PEM, leaf first. Raises FileExistsError rather than replace a file."""
    _write_new(file, b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates), 0o644)


def write_key(file: Path, key: PrivateKey, password: bytes) -> None:
    """Write a private key as encrypted PKCS#8 PEM, mode 0600. Raises FileExistsError rather than replace a file."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    _write_new(file, pem, 0o600)


def write_password(file: Path) -> bytes:
    """Make a password of 256 random bits, write it as one line, mode 0600, and return it. Raises FileExistsError."""
    password = secrets.token_urlsafe(32).encode()
    _write_new(file, password + b"\n", 0o600)
    return password


def _write_new(file: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _name(organization: str, *, operator: str, institution_code: str = "", usb_key_serial: str = "") -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, institution_code),
        (NameOID.COMMON_NAME, operator),
        (NameOID.SERIAL_NUMBER, usb_key_serial),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def _builder(
    subject: x509.Name, issuer: x509.Name, *, public_key: PublicKey, issuer_key: PublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    begin = now.replace(microsecond=0) - BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_id(issuer_key), critical=False)
    )


def _authority_id(key: PublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _usage(key_cert_sign=True, crl_sign=True), critical=True
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey) -> Certificate:
    return parse_certificate(builder.sign(key, SHA256()).public_bytes(Encoding.DER))
