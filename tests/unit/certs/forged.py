"""Certificates with any byte wrong: a DER writer of the tests' own, and a builder that obeys nobody."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.authority.issuing import BACKDATED, Authority, make_issuing, make_key, make_root
from certs.authority.profiles import profile
from certs.core.lints import Wanted
from certs.core.subjects import Subject
from certs.keys import PrivateKey
from tests.unit.certs.material import NOW

ROOT = make_root("试点", NOW - timedelta(days=1))
ISSUING = make_issuing(ROOT, NOW - timedelta(days=1))
SHOP = Subject(organization="试点", operator="张三", institution_code="46012345", usb_key_serial="UK1")
SERIAL = (1 << 158) + 12345
KEY = make_key()
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")


def tlv(tag: int, *content: bytes) -> bytes:
    """One element with a minimal length."""
    body = b"".join(content)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + body


def integer(value: int) -> bytes:
    """A minimal INTEGER."""
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        body += bytes(reversed(groups))
    return tlv(6, body)


def name(*attributes: tuple[str, int, str]) -> bytes:
    """A name of (oid, tag of the string, text), one to a part."""
    return tlv(0x30, *(tlv(0x31, tlv(0x30, oid(one), tlv(tag, text.encode()))) for one, tag, text in attributes))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """One extension as DER wants it."""
    return tlv(0x30, oid(dotted), *([tlv(1, b"\xff")] if critical else []), tlv(4, value))


def utc(moment: datetime) -> bytes:
    """A UTCTime."""
    return tlv(0x17, moment.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode())


def spki_of(key: PrivateKey) -> bytes:
    """The key's SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_identifier(key: PrivateKey) -> bytes:
    """SHA-1 of the key's bits; it is the last thing in both kinds of SubjectPublicKeyInfo we use."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        bits = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    else:
        bits = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return hashlib.sha1(bits).digest()


BEGIN = NOW - BACKDATED
SHOP_NAME = (
    ("2.5.4.6", 0x13, "CN"),
    ("2.5.4.10", 0x0C, "试点"),
    ("2.5.4.11", 0x0C, "46012345"),
    ("2.5.4.3", 0x0C, "张三"),
    ("2.5.4.5", 0x13, "UK1"),
)
ROLE = profile("station").eku or ""


def extensions(
    *, key: PrivateKey = KEY, issuer: PrivateKey = ISSUING.key, without: str = "", **changed: bytes
) -> dict[str, bytes]:
    """The five extensions of a leaf by key and issuer, with some changed, added or (empty, or `without`) left out."""
    right = {
        "ski": extension("2.5.29.14", tlv(4, key_identifier(key))),
        "aki": extension("2.5.29.35", tlv(0x30, tlv(0x80, key_identifier(issuer)))),
        "basic": extension("2.5.29.19", tlv(0x30), critical=True),
        "usage": extension("2.5.29.15", bytes.fromhex("03020780"), critical=True),
        "eku": extension("2.5.29.37", tlv(0x30, oid(ROLE))),
    }
    return {one: value for one, value in (right | changed).items() if value and one != without}


@dataclass(kw_only=True)
class Forged:
    """A station's certificate that is right unless told otherwise, put together byte by byte."""

    version: bytes = bytes.fromhex("a003020102")
    serial: bytes = integer(SERIAL)
    inner: bytes = ECDSA_SHA256
    outer: bytes | None = None
    issuer: bytes = field(default_factory=ISSUING.certificate.parsed.subject.public_bytes)
    validity: bytes = tlv(0x30, utc(BEGIN), utc(BEGIN + timedelta(days=730)))
    subject: bytes = name(*SHOP_NAME)
    spki: bytes = spki_of(KEY)
    unique_ids: bytes = b""
    extensions: dict[str, bytes] = field(default_factory=extensions)
    more: bytes = b""
    by: PrivateKey = ISSUING.key

    def tbs(self) -> bytes:
        """What is signed."""
        parts = (self.version, self.serial, self.inner, self.issuer, self.validity, self.subject, self.spki)
        held = tlv(0xA3, tlv(0x30, *self.extensions.values())) if self.extensions else b""
        return tlv(0x30, *parts, self.unique_ids, held, self.more)

    def der(self, tbs: bytes | None = None) -> bytes:
        """Sign it. tbs: other bytes than the right ones."""
        signed = self.tbs() if tbs is None else tbs
        if isinstance(self.by, ec.EllipticCurvePrivateKey):
            signature = self.by.sign(signed, ec.ECDSA(SHA256()))
        else:
            signature = self.by.sign(signed, PKCS1v15(), SHA256())
        return tlv(0x30, signed, self.inner if self.outer is None else self.outer, tlv(3, b"\x00", signature))


def wanted(
    *, kind: str = "station", issuer: Authority | None = ISSUING, key: PrivateKey = KEY, subject: Subject = SHOP
) -> Wanted:
    """What a Forged was to be."""
    return Wanted(
        profile=profile(kind),
        issuer=None if issuer is None else issuer.certificate.der,
        subject=subject,
        spki=spki_of(key),
        serial=SERIAL,
        begin=BEGIN,
    )
