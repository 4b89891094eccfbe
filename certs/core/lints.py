"""The rules a finished certificate is held to before it is let out, each a row of one table.

They read the DER themselves (certs.core.der) and share nothing with the builder but the profile: a slip of the
builder, of a token or of the library is then a certificate that never existed.
Sources: RFC 5280 s4, RFC 5758 s3.2, RFC 4055 s5, RFC 5480 s2; the habits of x509lint and zlint.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.core.certificate_fields import KEY_USAGE, Fields, read_fields, read_name
from certs.core.certificate_profiles import KEY_USAGES, CertificateProfile
from certs.core.der import (
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    PRINTABLE_STRING,
    SEQUENCE,
    UTC_TIME,
    UTF8_STRING,
    DerError,
    Element,
    read_der,
)
from certs.core.subjects import COUNTRY, Subject
from certs.core.weak_keys import is_on_p256, rsa_weakness

SERIAL_BITS_MIN, SERIAL_OCTETS_MAX = 128, 20
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
_EC_P256 = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_BASIC_CONSTRAINTS, _EKU = "2.5.29.19", "2.5.29.37"
_SUBJECT_KEY, _AUTHORITY_KEY = "2.5.29.14", "2.5.29.35"
_NAME = (
    ("2.5.4.6", PRINTABLE_STRING, "country"),
    ("2.5.4.10", UTF8_STRING, "organization"),
    ("2.5.4.11", UTF8_STRING, "institution_code"),
    ("2.5.4.3", UTF8_STRING, "operator"),
    ("2.5.4.5", PRINTABLE_STRING, "usb_key_serial"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the certificate was to be. issuer: the signing authority's DER, None for a root. spki: of the key asked
    for. serial: the one drawn. subject: as the register has it. begin: when it was to begin."""

    profile: CertificateProfile
    issuer: bytes | None
    subject: Subject
    spki: bytes
    serial: int
    begin: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that is broken: its name in RULES, and what was found."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Case:
    fields: Fields
    issuer: Fields
    wanted: Wanted

    @property
    def profile(self) -> CertificateProfile:
        return self.wanted.profile

    def value(self, oid: str) -> Element:
        """The DER of one extension. Raises DerError where it is missing."""
        for one in self.fields.extensions:
            if one.oid == oid:
                return read_der(one.value)
        raise DerError(f"extension {oid} is missing")


def lint(der: bytes, wanted: Wanted) -> tuple[Finding, ...]:
    """Every rule of RULES that the certificate breaks; empty if it may be let out.

    Bytes that are not DER break the rule `der` and are not looked at further. Under 1 ms; RSA keys some ms more.
    """
    try:
        fields = read_fields(der)
        issuer = fields if wanted.issuer is None else read_fields(wanted.issuer)
    except DerError as wrong:
        return (Finding("der", str(wrong)),)
    return tuple(_broken(_Case(fields, issuer, wanted)))


def _broken(case: _Case) -> Iterator[Finding]:
    for name, rule in RULES.items():
        try:
            detail = rule(case)
        except DerError as wrong:
            detail = str(wrong)
        if detail is not None:
            yield Finding(name, detail)


def _version(case: _Case) -> str | None:
    return None if case.fields.version == 3 else f"version {case.fields.version}"


def _serial(case: _Case) -> str | None:
    serial = case.fields.serial
    if serial != case.wanted.serial:
        return "not the serial that was drawn"
    if serial <= 0 or serial.bit_length() >= SERIAL_OCTETS_MAX * 8:
        return f"not positive in at most {SERIAL_OCTETS_MAX} bytes"
    return None if serial.bit_length() >= SERIAL_BITS_MIN else f"below {SERIAL_BITS_MIN} bits"


def _algorithm(case: _Case) -> str | None:
    fields = case.fields
    if fields.inner_algorithm != fields.outer_algorithm:
        return "two algorithms are named"
    of_issuer = {_EC_P256: _ECDSA_SHA256, _RSA: _RSA_SHA256}.get(read_der(case.issuer.spki)[0].raw)
    return None if fields.inner_algorithm == of_issuer else "not SHA-256 under the issuer's kind of key"


def _issuer(case: _Case) -> str | None:
    return None if case.fields.issuer == case.issuer.subject else "not the issuer's subject, byte for byte"


def _subject(case: _Case) -> str | None:
    wanted = case.wanted.subject
    texts = {"country": COUNTRY} | {name: getattr(wanted, name) for _, _, name in _NAME[1:]}
    right = [(oid, tag, texts[name].encode()) for oid, tag, name in _NAME if texts[name]]
    found = [(one.oid, one.tag, one.value) for one in read_name(case.fields.subject)]
    return wanted.wrong(case.profile) if found == right else "not the name of the register, in order and form"


def _self_issued(case: _Case) -> str | None:
    is_root = case.wanted.issuer is None
    return None if (case.fields.issuer == case.fields.subject) is is_root else "only a root names itself as issuer"


def _validity(case: _Case) -> str | None:
    fields, issuer = case.fields, case.issuer
    for moment, tag in ((fields.not_before, fields.not_before_tag), (fields.not_after, fields.not_after_tag)):
        if (moment.year < 2050) is not (tag == UTC_TIME):
            return "UTCTime up to 2049, GeneralizedTime from 2050"
    if fields.not_before != case.wanted.begin:
        return "begins at another moment than it was to"
    span = fields.not_after - fields.not_before
    if not timedelta(days=case.profile.days_min) <= span <= timedelta(days=case.profile.days):
        return f"{span.days} days, not {case.profile.days_min} to {case.profile.days}"
    inside = issuer.not_before <= fields.not_before and fields.not_after <= issuer.not_after
    return None if inside else "reaches beyond its issuer's validity"


def _key(case: _Case) -> str | None:
    spki = read_der(case.fields.spki)
    if case.fields.spki != case.wanted.spki:
        return "not the key that was asked for"
    if len(spki.parts) != 2 or spki[0].raw not in (_EC_P256, _RSA):
        return "neither P-256 nor RSA, named as RFC 5480 and RFC 3279 name them"
    bits, kind = spki[1].bits(), "P-256" if spki[0].raw == _EC_P256 else "RSA"
    if kind not in case.profile.keys:
        return f"{kind} is not for this profile"
    if kind == "P-256":
        point_is_right = len(bits) == 65 and bits[0] == 4
        on_curve = point_is_right and is_on_p256(int.from_bytes(bits[1:33]), int.from_bytes(bits[33:]))
        return None if on_curve else "not an uncompressed point of P-256"
    numbers = read_der(bits).expect(SEQUENCE)
    if len(numbers.parts) != 2:
        return "not a modulus and an exponent"
    weak = rsa_weakness(numbers[0].integer(), numbers[1].integer())
    return None if weak is None else f"weak key: {weak}"


def _unique_ids(case: _Case) -> str | None:
    return "has unique identifiers" if case.fields.unique_ids else None


def _extensions(case: _Case) -> str | None:
    critical = {_BASIC_CONSTRAINTS: True, KEY_USAGE: True, _SUBJECT_KEY: False, _AUTHORITY_KEY: False}
    if case.profile.eku is not None:
        critical[_EKU] = False
    found = [(one.oid, one.critical) for one in case.fields.extensions]
    return None if sorted(found) == sorted(critical.items()) else f"extensions {found}"


def _basic_constraints(case: _Case) -> str | None:
    parts = case.value(_BASIC_CONSTRAINTS).expect(SEQUENCE).parts
    if not case.profile.ca:
        return "a leaf's constraints are empty" if parts else None
    right = len(parts) == 2 and parts[0].expect(BOOLEAN).value == b"\xff"
    right = right and parts[1].tag == INTEGER and parts[1].integer() == case.profile.path_length
    return None if right else f"not a CA with path length {case.profile.path_length}"


def _key_usage(case: _Case) -> str | None:
    found = case.value(KEY_USAGE).named_bits()
    right = frozenset(KEY_USAGES.index(one) for one in case.profile.key_usage)
    return None if found == right else f"bits {sorted(found)}"


def _eku(case: _Case) -> str | None:
    if case.profile.eku is None:
        return None
    found = [one.oid() for one in case.value(_EKU).expect(SEQUENCE).parts]
    return None if found == [case.profile.eku] else f"extended key usages {found}"


def _key_identifiers(case: _Case) -> str | None:
    own = case.value(_SUBJECT_KEY).expect(OCTET_STRING).value
    named = case.value(_AUTHORITY_KEY).expect(SEQUENCE).parts
    if own != _identifier(case.fields):
        return "the subject key identifier is not the SHA-1 of the key"
    of_issuer = _identifier(case.issuer)
    right = len(named) == 1 and named[0].tag == 0x80 and named[0].value == of_issuer
    return None if right else "the authority key identifier is not the issuer's, and that alone"


def _identifier(fields: Fields) -> bytes:
    # RFC 5280 s4.2.1.2 method (1): a name for the key, not a protection.
    return hashlib.sha1(read_der(fields.spki)[1].bits(), usedforsecurity=False).digest()


def _signature(case: _Case) -> str | None:
    fields = case.fields
    try:
        key = load_der_public_key(case.issuer.spki)
        if isinstance(key, ec.EllipticCurvePublicKey):
            for one in read_der(fields.signature).expect(SEQUENCE).parts:
                if one.integer() <= 0:
                    return "a signature of other than positive numbers"
            key.verify(fields.signature, fields.tbs, ec.ECDSA(SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(fields.signature, fields.tbs, padding.PKCS1v15(), SHA256())
        else:
            return "an issuer with another kind of key"
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return "the signature is not the issuer's"
    return None


RULES: Mapping[str, Callable[[_Case], str | None]] = {
    "version": _version,
    "serial": _serial,
    "algorithm": _algorithm,
    "issuer": _issuer,
    "subject": _subject,
    "self-issued": _self_issued,
    "validity": _validity,
    "key": _key,
    "unique-ids": _unique_ids,
    "extensions": _extensions,
    "basic-constraints": _basic_constraints,
    "key-usage": _key_usage,
    "eku": _eku,
    "key-identifiers": _key_identifiers,
    "signature": _signature,
}
"""Rule by name: None, or what is wrong. `der` stands before them all."""
