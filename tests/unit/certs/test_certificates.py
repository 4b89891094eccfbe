"""Certificates: what is read, and what stands under our rules."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import pilot
from certs.certificates import ARC, ROLE_OIDS, Certificate, CertificateError, Role, judge, parse_certificate
from certs.core.profile import holds
from certs.keys import PemSigner
from tests.unit.certs.material import NOW, VECTORS, certificate

ROOT = pilot.make_root("Test", NOW)
ISSUING = pilot.make_issuing(ROOT, NOW)
SUBJECT = ((NameOID.ORGANIZATIONAL_UNIT_NAME, "46012345"), (NameOID.COMMON_NAME, "op"), (NameOID.SERIAL_NUMBER, "UK1"))
ONLY_SIGN = {"digital_signature": True}


def usage(**on: bool) -> x509.KeyUsage:
    """KeyUsage with these bits."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    return x509.KeyUsage(
        **{name: on.get(name, False) for name in names.split()}, encipher_only=False, decipher_only=False
    )


@dataclass(kw_only=True)
class Craft:
    """A leaf that is right unless told otherwise. None leaves an extension out."""

    issuer: pilot.Authority = ISSUING
    subject: tuple[tuple[x509.ObjectIdentifier, str], ...] = SUBJECT
    key: Callable[[], Any] = pilot.make_key
    ekus: tuple[str, ...] | None = (ROLE_OIDS[Role.STATION],)
    ca: bool | None = False
    ca_critical: bool = True
    usage: x509.KeyUsage | None = None
    usage_critical: bool = True
    aki_of: pilot.Authority | None = ISSUING
    issuer_name: x509.Name | None = None
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    begin: datetime = NOW - timedelta(minutes=1)
    end: datetime = NOW + timedelta(days=1)
    hashed: type[SHA224 | SHA256 | SHA384] = SHA256
    path_length: int | None = None

    def build(self) -> x509.Certificate:
        """Sign it."""
        public = self.key().public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(oid, text) for oid, text in self.subject]))
            .issuer_name(self.issuer_name or self.issuer.certificate.parsed.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        extensions: list[tuple[x509.ExtensionType, bool]] = [*self.extra]
        if self.ca is not None:
            extensions.append((x509.BasicConstraints(ca=self.ca, path_length=self.path_length), self.ca_critical))
        extensions.append((self.usage or usage(**ONLY_SIGN), self.usage_critical))
        if self.ekus is not None:
            extensions.append((x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in self.ekus]), False))
        if self.aki_of is not None:
            key = self.aki_of.key.public_key()
            extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(key), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.issuer.key, self.hashed())

    def read(self) -> Certificate:
        """Sign and read it."""
        return parse_certificate(self.build().public_bytes(Encoding.DER))


def stands(one: Certificate, *, issuing: Certificate = ISSUING.certificate, at: datetime = NOW) -> str | None:
    """judge under this file's CA."""
    return judge(one, issuing, ROOT.certificate, at)


def test_vectors_are_read_and_stand() -> None:
    station, gateway = certificate("station"), certificate("gateway")
    assert station.keyid == "bad03432f87873b53cd7f90d09e8836d2a8339dcdfcf292f6dd240be23cb38e7"
    assert (station.institution_code, station.operator, station.usb_key_serial) == ("46012345", "op-0001", "UK20260001")
    assert (station.role, gateway.role, certificate("issuing").role) == (Role.STATION, Role.REPLY, None)
    assert (station.alg, certificate("station_rsa").alg) == ("ecdsa-p256-sha256", "rsa-v1_5-sha256")
    assert station.not_after == datetime(2028, 10, 31, tzinfo=UTC)
    assert (gateway.institution_code, gateway.usb_key_serial) == ("", "")
    for name in ("station", "station_rsa", "gateway"):
        assert judge(certificate(name), certificate("issuing"), certificate("root"), NOW) is None
        assert stands(certificate(name)) == "certificate-unknown"


def test_der_and_pem_are_the_same_certificate() -> None:
    pem = (VECTORS / "station.cert.pem").read_bytes()
    again = parse_certificate(certificate("station").der)
    assert again == parse_certificate(pem)
    assert hash(again) == hash(certificate("station"))
    assert again != certificate("gateway")
    assert len({certificate(name).public_key_sha256 for name in ("station", "gateway", "root", "issuing")}) == 4


def test_arc() -> None:
    assert ARC == "2.25.142285106485850155371164267729557364481"
    assert [ROLE_OIDS[Role(name)] for name in ("station", "operator", "partner", "reply", "archive")] == [
        f"{ARC}.{number}" for number in (1, 2, 3, 4, 5)
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        (VECTORS / "station.cert.pem").read_bytes() * 2,
        certificate("station").der + b"\x00",
        certificate("station").der[:-1],
        Craft(subject=(*SUBJECT, (NameOID.ORGANIZATIONAL_UNIT_NAME, "46099999"))).build().public_bytes(Encoding.DER),
        Craft(key=ed25519.Ed25519PrivateKey.generate).build().public_bytes(Encoding.DER),
    ],
)
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(CertificateError):
        parse_certificate(data)


ROLES = tuple(ROLE_OIDS.values())
RIGHT = [
    Craft(),
    Craft(hashed=SHA384),
    Craft(usage=usage(digital_signature=True, content_commitment=True)),
    Craft(key=lambda: rsa.generate_private_key(65537, 2048)),
    *(Craft(ekus=(oid,)) for oid in ROLES),
    Craft(ekus=(ROLE_OIDS[Role.REPLY],), subject=SUBJECT[1:2]),
]
WRONG = {
    "another CA's signature": Craft(issuer=ROOT, issuer_name=ISSUING.certificate.parsed.subject),
    "issued by the root": Craft(issuer=ROOT, aki_of=ROOT),
    "another issuer's name": Craft(issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])),
    "key identifiers do not link": Craft(aki_of=ROOT),
    "no authority key identifier": Craft(aki_of=None),
    "no EKU": Craft(ekus=None),
    "no role among the EKUs": Craft(ekus=(ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,)),
    "an EKU beside the role": Craft(ekus=(ROLES[0], ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string)),
    "any EKU": Craft(ekus=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,)),
    "two roles": Craft(ekus=(ROLES[0], ROLES[3])),
    "one role twice": Craft(ekus=(ROLES[0], ROLES[0])),
    "unknown role": Craft(ekus=(f"{ARC}.6",)),
    "the arc itself": Craft(ekus=(ARC,)),
    "a CA": Craft(ca=True),
    "no basic constraints": Craft(ca=None),
    "basic constraints not critical": Craft(ca_critical=False),
    "key usage not critical": Craft(usage_critical=False),
    "key usage without signing": Craft(usage=usage(content_commitment=True)),
    "weak hash": Craft(hashed=SHA224),
    "key usage with encipherment": Craft(usage=usage(digital_signature=True, key_encipherment=True)),
    "key usage of a CA": Craft(usage=usage(digital_signature=True, key_cert_sign=True)),
    "key usage of a CRL signer": Craft(usage=usage(digital_signature=True, crl_sign=True)),
    "another curve": Craft(key=lambda: ec.generate_private_key(ec.SECP384R1())),
    "short RSA": Craft(key=lambda: rsa.generate_private_key(65537, 1024)),
    "small exponent": Craft(key=lambda: rsa.generate_private_key(3, 2048)),
    "unknown critical extension": Craft(
        extra=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)
    ),
    "a second name": Craft(extra=((x509.SubjectAlternativeName([x509.DNSName("a.example")]), False),)),
    "unknown extension": Craft(
        extra=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),)
    ),
    "station without institution": Craft(subject=SUBJECT[1:]),
    "station without operator": Craft(subject=(SUBJECT[0], SUBJECT[2])),
    "station without key serial": Craft(subject=SUBJECT[:2]),
}


@pytest.mark.parametrize("craft", RIGHT)
def test_stands(craft: Craft) -> None:
    assert stands(craft.read()) is None


@pytest.mark.parametrize("what", WRONG)
def test_does_not_stand(what: str) -> None:
    assert stands(WRONG[what].read()) == "certificate-unknown"


def test_the_end_is_exclusive() -> None:
    one, second = Craft().read(), timedelta(seconds=1)
    assert stands(one, at=one.not_before) is None
    assert stands(one, at=one.not_before - timedelta(microseconds=1)) == "certificate-expired"
    assert stands(one, at=one.not_after - second) is None
    assert stands(one, at=one.not_after) == "certificate-expired"
    long = Craft(begin=NOW - timedelta(days=9000), end=NOW + timedelta(days=9000)).read()
    assert stands(long, at=ISSUING.certificate.not_after) == "certificate-expired"
    assert stands(long, at=ISSUING.certificate.not_before - second) == "certificate-expired"
    with pytest.raises(TypeError):
        stands(one, at=NOW.replace(tzinfo=None))


def test_the_chain_is_two_levels_of_real_authorities() -> None:
    leaf = Craft().read()
    other = pilot.make_root("Test", NOW)
    assert judge(leaf, ISSUING.certificate, other.certificate, NOW) == "certificate-unknown"
    assert judge(leaf, ROOT.certificate, ROOT.certificate, NOW) == "certificate-unknown"
    assert judge(leaf, leaf, ROOT.certificate, NOW) == "certificate-unknown"
    assert judge(ISSUING.certificate, ISSUING.certificate, ROOT.certificate, NOW) == "certificate-unknown"
    assert judge(leaf, ISSUING.certificate, ISSUING.certificate, NOW) == "certificate-unknown"


def test_the_root_is_self_signed_and_an_authority() -> None:
    """Not an intermediate, and not a self-signed certificate that may not sign certificates."""
    name, bits = ((NameOID.COMMON_NAME, "Top"),), usage(key_cert_sign=True, crl_sign=True)
    for ca, used, selfmade, right in [
        (True, bits, True, True),
        (False, bits, True, False),
        (True, usage(crl_sign=True), True, False),
        (True, bits, False, False),
    ]:
        key = pilot.make_key()
        top = pilot.Authority(ROOT.certificate, key, "Top") if selfmade else ROOT
        subject = x509.Name([x509.NameAttribute(*name[0])])
        made = Craft(
            issuer=top,
            aki_of=top,
            issuer_name=subject if selfmade else None,
            ca=ca,
            usage=used,
            ekus=None,
            key=partial(lambda one: one, key),
            subject=name,
            begin=NOW - timedelta(minutes=2),
        ).read()
        top = pilot.Authority(made, key, "Top")
        own = pilot.make_key()
        middle = Craft(
            issuer=top,
            aki_of=top,
            ca=True,
            path_length=0,
            usage=bits,
            ekus=None,
            key=partial(lambda one: one, own),
            subject=((NameOID.COMMON_NAME, "Middle"),),
        ).read()
        issuing = pilot.Authority(middle, own, "Top")
        leaf = Craft(issuer=issuing, aki_of=issuing).read()
        assert judge(leaf, issuing.certificate, made, NOW) == (None if right else "certificate-unknown")


def test_extensions_need_version_3() -> None:
    content = Craft().build().tbs_certificate_bytes[4:].removeprefix(b"\xa0\x03\x02\x01\x02")
    tbs = b"\x30\x82" + len(content).to_bytes(2) + content
    assert isinstance(ISSUING.key, ec.EllipticCurvePrivateKey)
    signature = b"\x00" + ISSUING.key.sign(tbs, ec.ECDSA(SHA256()))
    inner = tbs + bytes.fromhex("300a06082a8648ce3d040302") + b"\x03" + bytes([len(signature)]) + signature
    first = parse_certificate(b"\x30\x82" + len(inner).to_bytes(2) + inner)
    assert first.role is Role.STATION
    assert stands(first) == "certificate-unknown"


def test_an_authority_must_be_marked_as_one() -> None:
    """A leaf that signs a leaf, an issuing CA without path length 0 or without keyCertSign."""
    cert_sign = usage(key_cert_sign=True, crl_sign=True)
    name = ((NameOID.COMMON_NAME, "Issuing"),)
    for ca, bits, length, right in [
        (True, cert_sign, 0, True),
        (False, cert_sign, None, False),
        (True, usage(crl_sign=True), 0, False),
        (True, cert_sign, None, False),
        (True, cert_sign, 1, False),
    ]:
        key = pilot.make_key()
        made = Craft(
            issuer=ROOT,
            aki_of=ROOT,
            ca=ca,
            usage=bits,
            path_length=length,
            ekus=None,
            key=partial(lambda made: made, key),
            subject=name,
        ).read()
        authority = pilot.Authority(made, key, "Test")
        leaf = Craft(issuer=authority, aki_of=authority).read()
        assert stands(leaf, issuing=made) == (None if right else "certificate-unknown")


def test_a_key_outside_the_profile_proves_nothing() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)):
        one = Craft(key=partial(lambda made: made, key)).read()
        assert one.alg == ""
        assert not any(holds(one, alg, b"", bytes(64)) for alg in ("", "ecdsa-p256-sha256", "rsa-v1_5-sha256"))
        with pytest.raises(ValueError, match="P-256"):
            PemSigner(one, key)
    short = rsa.generate_private_key(65537, 1024)
    signature = short.sign(b"data", PKCS1v15(), SHA256())
    assert not holds(Craft(key=lambda: short).read(), "", b"data", signature)
