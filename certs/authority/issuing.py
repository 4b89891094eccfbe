"""Issuing: build by the profile, sign with whatever key stands behind, and let out only what passes every lint."""

import secrets
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from certs.authority.profiles import profile
from certs.core.certificate_profiles import CertificateProfile
from certs.core.certificate_requests import KnownKeys, check_key
from certs.core.certificates import Certificate, PublicKey, parse_certificate
from certs.core.lints import Finding, Wanted, lint
from certs.core.subjects import COUNTRY, TEXT_MAX_BYTES, Subject
from certs.keys import PrivateKey

BACKDATED = timedelta(minutes=5)
"""Certificates and lists begin this much before they are made, for clocks that run behind."""
SERIAL_BITS = 159
"""20 bytes, the first bit clear (positive), the second set (full length): 158 bits drawn."""
NOBODY = KnownKeys()
_DRAWS = 8


class IssueRefused(ValueError):
    """Nothing was issued. slug: why, for programs. findings: the lints a certificate broke that now never existed."""

    def __init__(self, slug: str, detail: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail, self.findings = slug, detail, tuple(findings)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can sign: its certificate, its key, and the organization it names everywhere.

    key: of a file, or of a token by signing.as_private_key.
    """

    certificate: Certificate
    key: PrivateKey
    organization: str


def make_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(organization: str, now: datetime, key: PrivateKey | None = None) -> Authority:
    """A self-signed root. organization: at most 64 bytes of UTF-8. now: aware. key: a fresh P-256 one unless given.

    Raises IssueRefused, RequestRefused (a weak key), and what a token raises.
    """
    key = key or make_key()
    subject = Subject(organization=organization, operator=_authority_name(organization, " root"))
    made = _make(profile("root"), None, key, key.public_key(), subject, now=now)
    return Authority(made, key, organization)


def make_issuing(root: Authority, now: datetime, *, number: int = 1, key: PrivateKey | None = None) -> Authority:
    """An issuing CA that may issue leaves only. number: of its period; CAs of several periods verify side by side."""
    key = key or make_key()
    subject = Subject(organization=root.organization, operator=_authority_name(root.organization, f" issuing {number}"))
    made = _make(profile("issuing"), root, root.key, key.public_key(), subject, now=now)
    return Authority(made, key, root.organization)


def issue(
    issuing: Authority,
    kind: CertificateProfile,
    public_key: PublicKey,
    subject: Subject,
    *,
    now: datetime,
    known: KnownKeys = NOBODY,
    serials: Container[int] = (),
) -> Certificate:
    """One leaf certificate for a key made elsewhere (file, token, request).

    subject: as the register has it. known: every key registered so far. serials: every serial this CA has issued.
    now: aware; the certificate ends with its issuer if that comes first, unless that leaves less than days_min.
    Raises RequestRefused for a weak or known key; IssueRefused: `subject` (a field out of form), `issuer-unfit` (no
    issuing CA, or not of this organization), `issuer-ends-soon` (rotate it first), `issuer-not-yet`, `lint`.
    """
    if kind.ca:
        raise IssueRefused("issuer-unfit", f"{kind.name} is an authority's profile")
    if subject.organization != issuing.organization:
        raise IssueRefused("subject", f"organization: this authority names {issuing.organization} only")
    return _make(kind, issuing, issuing.key, public_key, subject, now=now, known=known, serials=serials)


def _make(
    kind: CertificateProfile,
    issuer: Authority | None,
    key: PrivateKey,
    public_key: PublicKey,
    subject: Subject,
    *,
    now: datetime,
    known: KnownKeys = NOBODY,
    serials: Container[int] = (),
) -> Certificate:
    """issuer: None for a root, which signs itself."""
    wrong = subject.wrong(kind)
    if wrong:
        raise IssueRefused("subject", wrong)
    check_key(public_key, known)
    if issuer is not None:
        _check_issuer(kind, issuer, public_key)
    begin, end = _validity(kind, issuer, now)
    serial = _draw(serials)
    issuer_key = public_key if issuer is None else issuer.certificate.public_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(subject) if issuer is None else issuer.certificate.parsed.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=kind.ca, path_length=kind.path_length), critical=True)
        .add_extension(_usage(kind), critical=True)
    )
    if kind.eku is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(kind.eku)]), critical=False)
    wanted = Wanted(
        profile=kind,
        issuer=None if issuer is None else issuer.certificate.der,
        subject=subject,
        spki=public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        serial=serial,
        begin=begin,
    )
    return release(builder.sign(key, SHA256()).public_bytes(Encoding.DER), wanted)


def release(der: bytes, wanted: Wanted) -> Certificate:
    """The certificate, if it breaks no lint. Raises IssueRefused (`lint`): whoever signed it, it never leaves here."""
    findings = lint(der, wanted)
    if findings:
        first = "; ".join(f"{one.rule}: {one.detail}" for one in findings)
        raise IssueRefused("lint", f"a certificate that breaks its profile was not let out ({first})", findings)
    return parse_certificate(der)


def _check_issuer(kind: CertificateProfile, issuer: Authority, public_key: PublicKey) -> None:
    constraints = issuer.certificate.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    fits = (1, None) if kind.ca else (0,)
    if not constraints.ca or constraints.path_length not in fits:
        raise IssueRefused("issuer-unfit", f"this authority does not issue {kind.name} certificates")
    if public_key == issuer.certificate.public_key:
        raise IssueRefused("issuer-unfit", "an authority's own key gets no certificate from it")


def _validity(kind: CertificateProfile, issuer: Authority | None, now: datetime) -> tuple[datetime, datetime]:
    begin = now.replace(microsecond=0) - BACKDATED
    end = begin + timedelta(days=kind.days)
    if issuer is None:
        return begin, end
    own = issuer.certificate
    if now < own.not_before:
        raise IssueRefused("issuer-not-yet", f"the issuing CA begins {own.not_before:%Y-%m-%d %H:%M:%S} UTC")
    begin, end = max(begin, own.not_before), min(end, own.not_after)
    if end - begin < timedelta(days=kind.days_min):
        detail = f"the CA ends {own.not_after:%Y-%m-%d}: under {kind.days_min} days for a {kind.name} certificate"
        raise IssueRefused("issuer-ends-soon", f"{detail}; rotate it first")
    return begin, end


def _draw(serials: Container[int]) -> int:
    for _ in range(_DRAWS):
        serial = secrets.randbits(SERIAL_BITS - 1) | 1 << SERIAL_BITS - 1
        if serial not in serials:
            return serial
    raise IssueRefused("serial", f"{_DRAWS} random serials were taken already: the random source is broken")


def _authority_name(organization: str, suffix: str) -> str:
    room = TEXT_MAX_BYTES - len(suffix.encode())
    return organization.encode()[:room].decode(errors="ignore").rstrip() + suffix


def _name(subject: Subject) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, COUNTRY),
        (NameOID.ORGANIZATION_NAME, subject.organization),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, subject.institution_code),
        (NameOID.COMMON_NAME, subject.operator),
        (NameOID.SERIAL_NUMBER, subject.usb_key_serial),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])


def _usage(kind: CertificateProfile) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digitalSignature" in kind.key_usage,
        content_commitment="nonRepudiation" in kind.key_usage,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign="keyCertSign" in kind.key_usage,
        crl_sign="cRLSign" in kind.key_usage,
        encipher_only=False,
        decipher_only=False,
    )
