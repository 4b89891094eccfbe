"""Every lint is broken alone, by a certificate that is right in everything else."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.authority.issuing import IssueRefused, make_issuing, make_root, release
from certs.authority.profiles import profile
from certs.core.lints import RULES, Wanted, lint
from certs.core.subjects import Subject
from certs.keys import PrivateKey
from tests.unit.certs import forged
from tests.unit.certs.forged import (
    BEGIN,
    ISSUING,
    KEY,
    ROOT,
    SHOP_NAME,
    Forged,
    extension,
    extensions,
    integer,
    name,
    oid,
    spki_of,
    tlv,
    utc,
    wanted,
)
from tests.unit.certs.material import NOW, certificate

RSA_KEY = rsa.generate_private_key(65537, 2048)
ANY_EKU, CLIENT = "2.5.29.37.0", "1.3.6.1.5.5.7.3.2"


def broken(der: bytes, against: Wanted | None = None) -> dict[str, str]:
    """Rule: detail."""
    return {one.rule: one.detail for one in lint(der, against or wanted())}


def renamed(index: int, *, tag: int | None = None, text: str | None = None) -> bytes:
    """The shop's name with one attribute changed."""
    rows = list(SHOP_NAME)
    rows[index] = (rows[index][0], tag or rows[index][1], rows[index][2] if text is None else text)
    return name(*rows)


def usage(hexed: str) -> dict[str, bytes]:
    """Key usage of these bytes."""
    return extensions(usage=extension("2.5.29.15", bytes.fromhex(hexed), critical=True))


def ekus(*dotted: str) -> dict[str, bytes]:
    """These extended key usages."""
    return extensions(eku=extension("2.5.29.37", tlv(0x30, *map(oid, dotted))))


def basic(*parts: bytes) -> dict[str, bytes]:
    """Basic constraints of these parts."""
    return extensions(basic=extension("2.5.29.19", tlv(0x30, *parts), critical=True))


def rsa_spki(modulus: int, exponent: int, algorithm: str = "300d06092a864886f70d0101010500") -> bytes:
    """A SubjectPublicKeyInfo of any numbers."""
    return tlv(
        0x30,
        bytes.fromhex(algorithm),
        tlv(3, b"\x00", tlv(0x30, integer(modulus), integer(exponent))),
    )


def ec_spki(point: bytes, curve: str = "2a8648ce3d030107") -> bytes:
    """A SubjectPublicKeyInfo of any point."""
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201"), tlv(6, bytes.fromhex(curve)))
    return tlv(0x30, algorithm, tlv(3, b"\x00", point))


def keyed(spki: bytes) -> tuple[Forged, Wanted]:
    """A certificate for a key that was asked for in just that form; its identifier is of those bits too."""
    bits = spki[-65:] if len(spki) == 91 else b""
    ski = extension("2.5.29.14", tlv(4, hashlib.sha1(bits).digest())) if bits else b""
    held = extensions(ski=ski) if bits else extensions()
    return Forged(spki=spki, extensions=held), replace(wanted(), spki=spki)


SAN = extension("2.5.29.17", tlv(0x30, tlv(0x82, b"pay.example")))
LONG = BEGIN + timedelta(days=730)
BROKEN: dict[str, tuple[str, Forged]] = {
    "version 1, no extensions": ("version", Forged(version=b"", extensions={})),
    "version 2": ("version", Forged(version=bytes.fromhex("a003020101"))),
    "negative serial": ("serial", Forged(serial=integer(-forged.SERIAL))),
    "serial zero": ("serial", Forged(serial=integer(0))),
    "serial of 21 bytes": ("serial", Forged(serial=integer(1 << 160))),
    "short serial": ("serial", Forged(serial=integer(1))),
    "another serial": ("serial", Forged(serial=integer(forged.SERIAL + 1))),
    "SHA-1": ("algorithm", Forged(inner=bytes.fromhex("300906072a8648ce3d0401"))),
    "SHA-384 named": ("algorithm", Forged(inner=bytes.fromhex("300a06082a8648ce3d040303"))),
    "two algorithms": ("algorithm", Forged(outer=bytes.fromhex("300a06082a8648ce3d040303"))),
    "parameters of ECDSA": ("algorithm", Forged(inner=bytes.fromhex("300c06082a8648ce3d0403020500"))),
    "another issuer": ("issuer", Forged(issuer=name(("2.5.4.3", 0x0C, "x")))),
    "issuer in another string type": (
        "issuer",
        Forged(issuer=name(("2.5.4.6", 0x0C, "CN"), ("2.5.4.10", 0x0C, "试点"), ("2.5.4.3", 0x0C, "试点 issuing 1"))),
    ),
    "another operator": ("subject", Forged(subject=renamed(3, text="李四"))),
    "country as UTF-8": ("subject", Forged(subject=renamed(0, tag=0x0C))),
    "operator twice": ("subject", Forged(subject=name(*SHOP_NAME, ("2.5.4.3", 0x0C, "root")))),
    "another order": ("subject", Forged(subject=name(*reversed(SHOP_NAME)))),
    "a NUL in the name": ("subject", Forged(subject=renamed(3, text="张三\0evil"))),
    "no institution": ("subject", Forged(subject=name(*SHOP_NAME[:2], *SHOP_NAME[3:]))),
    "names its issuer": ("self-issued", Forged(subject=ISSUING.certificate.parsed.subject.public_bytes())),
    "a second too long": (
        "validity",
        Forged(validity=tlv(0x30, utc(BEGIN), utc(BEGIN + timedelta(days=730, seconds=1)))),
    ),
    "one day": ("validity", Forged(validity=tlv(0x30, utc(BEGIN), utc(BEGIN + timedelta(days=1))))),
    "begins later": ("validity", Forged(validity=tlv(0x30, utc(BEGIN + timedelta(seconds=1)), utc(LONG)))),
    "GeneralizedTime too early": ("validity", Forged(validity=tlv(0x30, utc(BEGIN), tlv(0x18, b"20281122235500Z")))),
    "another key": ("key", Forged(spki=spki_of(ROOT.key))),
    "unique identifiers": ("unique-ids", Forged(unique_ids=bytes.fromhex("81020055"))),
    "a name of its own choice": ("extensions", Forged(extensions=extensions() | {"san": SAN})),
    "an extension twice": ("extensions", Forged(extensions=extensions(again=extensions()["eku"]))),
    "EKU critical": (
        "extensions",
        Forged(extensions=extensions(eku=extension("2.5.29.37", tlv(0x30, oid(forged.ROLE)), critical=True))),
    ),
    "usage not critical": (
        "extensions",
        Forged(extensions=extensions(usage=extension("2.5.29.15", bytes.fromhex("03020780")))),
    ),
    "a leaf that is a CA": ("basic-constraints", Forged(extensions=basic(tlv(1, b"\xff")))),
    "a CA of length 0": ("basic-constraints", Forged(extensions=basic(tlv(1, b"\xff"), integer(0)))),
    "FALSE written out": ("basic-constraints", Forged(extensions=basic(tlv(1, b"\x00")))),
    "signs certificates": ("key-usage", Forged(extensions=usage("03020284"))),
    "enciphers": ("key-usage", Forged(extensions=usage("030205a0"))),
    "usage with trailing zero bits": ("key-usage", Forged(extensions=usage("03020080"))),
    "no usage": ("key-usage", Forged(extensions=usage("030100"))),
    "another role": ("eku", Forged(extensions=ekus(profile("reply").eku or ""))),
    "two roles": ("eku", Forged(extensions=ekus(forged.ROLE, profile("reply").eku or ""))),
    "any usage": ("eku", Forged(extensions=ekus(ANY_EKU))),
    "TLS client beside it": ("eku", Forged(extensions=ekus(forged.ROLE, CLIENT))),
    "another key's identifier": (
        "key-identifiers",
        Forged(extensions=extensions(ski=extension("2.5.29.14", tlv(4, bytes(20))))),
    ),
    "another issuer's identifier": ("key-identifiers", Forged(extensions=extensions(issuer=ROOT.key))),
    "issuer named by serial": (
        "key-identifiers",
        Forged(
            extensions=extensions(
                aki=extension(
                    "2.5.29.35",
                    tlv(0x30, tlv(0x80, forged.key_identifier(ISSUING.key)), tlv(0x82, b"\x01")),
                )
            )
        ),
    ),
    "signed by the root": ("signature", Forged(by=ROOT.key)),
    "signed by itself": ("signature", Forged(by=KEY)),
}


def test_the_right_one_passes_and_is_let_out() -> None:
    der = Forged().der()
    assert broken(der) == {}
    assert release(der, wanted()).der == der


@pytest.mark.parametrize("what", BROKEN)
def test_one_rule_is_broken(what: str) -> None:
    rule, wrong = BROKEN[what]
    found = broken(wrong.der())
    assert rule in found, found
    # What hangs together breaks together, nothing else does.
    also = {
        "version": {"extensions", "basic-constraints", "key-usage", "eku", "key-identifiers"},
        "key": {"key-identifiers"},
        "self-issued": {"subject"},
    }
    assert set(found) - {rule} <= also.get(rule, set()), found
    with pytest.raises(IssueRefused, match=rule) as refused:
        release(wrong.der(), wanted())
    assert refused.value.slug == "lint"
    assert rule in {one.rule for one in refused.value.findings}


def test_every_rule_is_broken_somewhere() -> None:
    assert {rule for rule, _ in BROKEN.values()} == set(RULES)


@pytest.mark.parametrize("gone", extensions())
def test_a_missing_extension_is_told(gone: str) -> None:
    assert "extensions" in broken(Forged(extensions=extensions(without=gone)).der())


def test_beyond_the_issuer() -> None:
    old = make_issuing(make_root("试点", NOW - timedelta(days=3650)), NOW - timedelta(days=3600))
    late = Forged(
        issuer=old.certificate.parsed.subject.public_bytes(), by=old.key, extensions=extensions(issuer=old.key)
    )
    assert set(broken(late.der(), wanted(issuer=old))) == {"validity"}
    young = make_issuing(ROOT, NOW + timedelta(hours=1))
    early = Forged(
        issuer=young.certificate.parsed.subject.public_bytes(), by=young.key, extensions=extensions(issuer=young.key)
    )
    assert set(broken(early.der(), wanted(issuer=young))) == {"validity"}


@pytest.mark.parametrize("serial", [0, -forged.SERIAL, 1, 1 << 126, 1 << 159])
def test_a_serial_is_looked_at_even_if_it_was_drawn(serial: int) -> None:
    der = Forged(serial=integer(serial)).der()
    assert set(broken(der, replace(wanted(), serial=serial))) == {"serial"}


def bad_point() -> bytes:
    """The key's point with y off by one."""
    point = bytearray(spki_of(KEY)[-65:])
    point[-1] ^= 1
    return bytes(point)


P384 = ec.generate_private_key(ec.SECP384R1())
N = RSA_KEY.public_key().public_numbers().n
KEYS: dict[str, Callable[[], bytes]] = {
    "P-384": lambda: spki_of(P384),
    "compressed point": lambda: ec_spki(bytes([2 + spki_of(KEY)[-1] % 2]) + spki_of(KEY)[-64:-32]),
    "point off the curve": lambda: ec_spki(bad_point()),
    "infinity": lambda: ec_spki(b"\x00"),
    "secp256k1 named": lambda: ec_spki(spki_of(KEY)[-65:], "2b8104000a"),
    "RSA-1024": lambda: rsa_spki(N >> 1024 | 1, 65537),
    "RSA, exponent 1": lambda: rsa_spki(N, 1),
    "RSA, exponent 3": lambda: rsa_spki(N, 3),
    "RSA, even exponent": lambda: rsa_spki(N, 65538),
    "RSA, even modulus": lambda: rsa_spki(N - 1, 65537),
    "RSA, negative modulus": lambda: rsa_spki(-N, 65537),
    "RSA for PSS only": lambda: rsa_spki(N, 65537, "300b06092a864886f70d01010a"),
    "RSA without NULL": lambda: rsa_spki(N, 65537, "300b06092a864886f70d010101"),
}


@pytest.mark.parametrize("what", KEYS)
def test_a_key_is_looked_at_even_if_it_was_asked_for(what: str) -> None:
    wrong, asked = keyed(KEYS[what]())
    found = broken(wrong.der(), asked)
    assert "key" in found
    assert set(found) <= {"key", "key-identifiers"}


def test_rsa_keys_and_rsa_issuers_pass() -> None:
    own = make_issuing(ROOT, NOW - timedelta(days=1), key=RSA_KEY)
    issuer = own.certificate.parsed.subject.public_bytes()
    for key in (KEY, rsa.generate_private_key(65537, 3072)):
        held = extensions(key=key, issuer=RSA_KEY)
        made = Forged(issuer=issuer, by=RSA_KEY, inner=forged.RSA_SHA256, spki=spki_of(key), extensions=held)
        assert broken(made.der(), wanted(issuer=own, key=key)) == {}
    ecdsa_named = Forged(issuer=issuer, by=RSA_KEY, extensions=extensions(issuer=RSA_KEY))
    assert set(broken(ecdsa_named.der(), wanted(issuer=own))) == {"algorithm"}


@pytest.mark.parametrize("kind", ["root", "issuing"])
@pytest.mark.parametrize(
    ("constraints", "usages", "rule"),
    [
        (None, "03020106", None),
        ("30060101ff0201ff", None, "basic-constraints"),
        ("30030101ff", None, "basic-constraints"),
        ("3000", None, "basic-constraints"),
        (None, "03020186", "key-usage"),
        (None, "03020204", "key-usage"),
    ],
)
def test_authorities(kind: str, constraints: str | None, usages: str | None, rule: str | None) -> None:
    length = {"root": "01", "issuing": "00"}[kind]
    right = f"30060101ff0201{length}"
    issuer = ROOT if kind == "issuing" else None
    own = (("2.5.4.6", 0x13, "CN"), ("2.5.4.10", 0x0C, "试点"), ("2.5.4.3", 0x0C, "甲"))
    subject = Subject(organization="试点", operator="甲")
    signer: PrivateKey = ROOT.key if issuer else KEY
    made = Forged(
        issuer=ROOT.certificate.parsed.subject.public_bytes() if issuer else name(*own),
        subject=name(*own),
        validity=tlv(0x30, utc(BEGIN), utc(BEGIN + timedelta(days={"root": 7300, "issuing": 3660}[kind]))),
        by=signer,
        extensions=extensions(
            issuer=signer,
            without="eku",
            basic=extension("2.5.29.19", bytes.fromhex(constraints or right), critical=True),
            usage=extension("2.5.29.15", bytes.fromhex(usages or "03020106"), critical=True),
        ),
    )
    found = broken(made.der(), wanted(kind=kind, issuer=issuer, subject=subject))
    assert set(found) == ({rule} if rule else set()), found


def test_the_vectors_pass() -> None:
    station, issuing = certificate("station"), certificate("issuing")
    against = Wanted(
        profile=profile("station"),
        issuer=issuing.der,
        subject=Subject(
            organization="Bianmin test", operator="op-0001", institution_code="46012345", usb_key_serial="UK20260001"
        ),
        spki=station.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        serial=station.serial,
        begin=station.not_before,
    )
    assert broken(station.der, against) == {}
