"""Every trick against a closed PKI of two levels, one test each: signed by whom it takes, and refused all the same."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from certs import pilot
from certs.authority.issuing import make_issuing, make_key, make_root
from certs.authority.profiles import profile
from certs.certificates import Certificate, CertificateError, Role, judge, parse_certificate
from certs.core.chains import ISSUERS_MAX, issuer_of, judge_among
from certs.keys import PrivateKey
from tests.unit.certs.forged import (
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
)
from tests.unit.certs.material import NOW

LEAF = pilot.issue(
    ISSUING,
    Role.STATION,
    KEY.public_key(),
    operator="张三",
    institution_code="46012345",
    usb_key_serial="UK1",
    now=NOW,
)
OWN = ISSUING.certificate.parsed.subject.public_bytes()


def said(der: bytes, issuings: tuple[Certificate, ...] = (ISSUING.certificate,), *, at: timedelta = timedelta()) -> str:
    """What the judge says: `unreadable`, a slug, or `stands`."""
    try:
        certificate = parse_certificate(der)
    except CertificateError:
        return "unreadable"
    return judge_among(certificate, issuings, ROOT.certificate, NOW + at) or "stands"


def leaf(*, by: PrivateKey, issuer: bytes, key: PrivateKey = KEY) -> bytes:
    """A right leaf under any key that signs."""
    held = extensions(key=key, issuer=by)
    return Forged(by=by, issuer=issuer, spki=spki_of(key), extensions=held).der()


def ca_extensions(key: PrivateKey = KEY) -> dict[str, bytes]:
    """The extensions of an authority under the issuing one."""
    return extensions(
        key=key,
        without="eku",
        basic=extension("2.5.29.19", bytes.fromhex("30060101ff020100"), critical=True),
        usage=extension("2.5.29.15", bytes.fromhex("03020106"), critical=True),
    )


def under_a_leaf() -> bytes:
    """A leaf signed by another shop's key, which names it as its issuer."""
    return leaf(by=KEY, issuer=LEAF.parsed.subject.public_bytes(), key=make_key())


def self_made_ca() -> bytes:
    """A leaf under an authority that nobody made but the attacker, with the real one's name."""
    return leaf(by=make_key(), issuer=OWN)


def unsigned_ca_bit() -> bytes:
    """A leaf whose constraints were turned into a CA's after signing."""
    right = Forged(
        extensions=extensions(basic=extension("2.5.29.19", bytes.fromhex("30060101ff020100"), critical=True))
    )
    tbs = Forged().tbs()
    return Forged().der(tbs).replace(tbs, right.tbs())


def alias(text: str, tag: int = 0x0C) -> bytes:
    """The issuer's name, almost."""
    return name(("2.5.4.6", 0x13, "CN"), ("2.5.4.10", 0x0C, "试点"), ("2.5.4.3", tag, text))


def with_san(*names: bytes) -> bytes:
    """A shop that would also be somebody else."""
    san = extension("2.5.29.17", tlv(0x30, *names))
    return Forged(extensions=extensions() | {"san": san}).der()


def hashed(algorithm: str) -> bytes:
    """A certificate that says it is signed over a broken hash."""
    return Forged(inner=bytes.fromhex(algorithm)).der()


def policies(address: bytes) -> bytes:
    """A policy whose statement is at this address."""
    qualifier = tlv(0x30, oid("1.3.6.1.5.5.7.2.1"), tlv(0x16, address))
    return tlv(0x30, tlv(0x30, oid("2.5.29.32.0"), tlv(0x30, qualifier)))


def huge() -> bytes:
    """More names than anybody has."""
    return with_san(*(tlv(0x82, f"{number}.example".encode()) for number in range(2000)))


RSA_1024 = rsa.generate_private_key(65537, 1024)
TRICKS: dict[str, Callable[[], bytes]] = {
    "reply EKU is another role, but two at once are none": lambda: Forged(
        extensions=extensions(
            eku=extension("2.5.29.37", tlv(0x30, *(oid(profile(one).eku or "") for one in ("station", "reply"))))
        )
    ).der(),
    "TLS client EKU": lambda: Forged(
        extensions=extensions(eku=extension("2.5.29.37", tlv(0x30, oid("1.3.6.1.5.5.7.3.2"))))
    ).der(),
    "any EKU": lambda: Forged(extensions=extensions(eku=extension("2.5.29.37", tlv(0x30, oid("2.5.29.37.0"))))).der(),
    "no EKU": lambda: Forged(extensions=extensions(without="eku")).der(),
    "CA as leaf": lambda: ISSUING.certificate.der,
    "root as leaf": lambda: ROOT.certificate.der,
    "CA bits on a leaf": lambda: Forged(extensions=ca_extensions()).der(),
    "leaf as CA": under_a_leaf,
    "forged basic constraints": unsigned_ca_bit,
    "an authority of its own with the right name": self_made_ca,
    "signed by the root itself": lambda: leaf(by=ROOT.key, issuer=ROOT.certificate.parsed.subject.public_bytes()),
    "self-signed": lambda: leaf(by=KEY, issuer=name(*SHOP_NAME)),
    "names its issuer as itself": lambda: Forged(subject=OWN).der(),
    "issuer's name in capitals": lambda: Forged(issuer=alias("试点 ISSUING 1")).der(),
    "issuer's name with a space": lambda: Forged(issuer=alias("试点  issuing 1")).der(),
    "issuer's name in another string type": lambda: Forged(issuer=alias("试点 issuing 1", 0x13)).der(),
    "issuer's name with a NUL": lambda: Forged(issuer=alias("试点 issuing 1\0")).der(),
    "operator twice": lambda: Forged(subject=name(*SHOP_NAME, ("2.5.4.3", 0x0C, "李四"))).der(),
    "key serial twice": lambda: Forged(subject=name(*SHOP_NAME, ("2.5.4.5", 0x13, "UK2"))).der(),
    "SAN of a host": lambda: with_san(tlv(0x82, b"pay.bianmin.example")),
    "SAN of another name": lambda: with_san(tlv(0xA4, name(("2.5.4.11", 0x0C, "46099999")))),
    "empty SAN": with_san,
    "name constraints": lambda: Forged(
        extensions=extensions() | {"nc": extension("2.5.29.30", tlv(0x30), critical=True)}
    ).der(),
    "policy mappings": lambda: Forged(extensions=extensions() | {"pm": extension("2.5.29.33", tlv(0x30))}).der(),
    "SHA-1 with ECDSA": lambda: hashed("300906072a8648ce3d0401"),
    "SHA-1 with RSA": lambda: hashed("300d06092a864886f70d0101050500"),
    "MD5 with RSA": lambda: hashed("300d06092a864886f70d0101040500"),
    "no signature algorithm": lambda: hashed("3000"),
    "two algorithms": lambda: Forged(outer=bytes.fromhex("300a06082a8648ce3d040303")).der(),
    "RSA-1024": lambda: leaf(by=ISSUING.key, issuer=OWN, key=RSA_1024),
    "P-384": lambda: Forged(spki=spki_of(ec.generate_private_key(ec.SECP384R1()))).der(),
    "negative serial": lambda: Forged(serial=integer(-5)).der(),
    "serial zero": lambda: Forged(serial=integer(0)).der(),
    "serial of 21 bytes": lambda: Forged(serial=integer(1 << 160)).der(),
    "padded serial": lambda: Forged(serial=bytes.fromhex("0204000000ff")).der(),
    "trailing byte": lambda: Forged().der() + b"\0",
    "byte behind the signature": lambda: tlv(0x30, Forged().der()[4:], b"\x05\x00"),
    "outer length in BER": lambda: b"\x30\x83\x00" + Forged().der()[2:],
    "indefinite length": lambda: b"\x30\x80" + Forged().der()[4:] + b"\0\0",
    "BER inside what is signed": lambda: Forged(
        extensions=extensions(usage=tlv(0x30, oid("2.5.29.15"), tlv(1, b"\x01"), tlv(4, bytes.fromhex("03020780"))))
    ).der(),
    "key usage with a bit too many": lambda: Forged(
        extensions=extensions(usage=extension("2.5.29.15", bytes.fromhex("03020080"), critical=True))
    ).der(),
    "a policy's address that rings": lambda: Forged(
        extensions=extensions() | {"policies": extension("2.5.29.32", policies(b"\x07"))}
    ).der(),
    "huge certificate": huge,
    "chain in one file": lambda: b"".join(one.parsed.public_bytes(Encoding.PEM) for one in (LEAF, ISSUING.certificate)),
    "endless chain": lambda: LEAF.parsed.public_bytes(Encoding.PEM) * 10_000,
    "unique identifiers": lambda: Forged(unique_ids=bytes.fromhex("81020055")).der(),
}


def test_the_right_ones_stand() -> None:
    assert said(LEAF.der) == "stands"
    assert said(Forged().der()) == "stands"
    stated = extension("2.5.29.32", policies(b"https://bureau.example/cps"))
    assert said(Forged(extensions=extensions() | {"policies": stated}).der()) == "stands"


@pytest.mark.parametrize("trick", TRICKS)
def test_refused(trick: str) -> None:
    assert said(TRICKS[trick]()) in ("unreadable", "certificate-unknown")


@pytest.mark.parametrize("role", [one for one in Role if one is not Role.STATION])
def test_wrong_eku_is_told_by_the_role(role: Role) -> None:
    """It stands, as what it is: whoever asks for a station compares the role."""
    other = pilot.issue(ISSUING, role, make_key().public_key(), operator="x", now=NOW)
    assert judge(other, ISSUING.certificate, ROOT.certificate, NOW) is None
    assert other.role is role is not LEAF.role


def test_expired_issuer() -> None:
    """The leaf's own dates reach beyond its issuer's: forged, since ours are cut there."""
    after = ISSUING.certificate.not_after - NOW
    times = tlv(0x30, tlv(0x17, b"261123235500Z"), tlv(0x18, b"20991231235959Z"))
    der = Forged(validity=times).der()
    assert said(der, at=after - timedelta(seconds=1)) == "stands"
    assert said(der, at=after) == "certificate-expired"
    assert said(der, at=timedelta(days=-1, seconds=-1)) == "certificate-expired"


def twin(one: Certificate) -> Certificate:
    """The same certificate with the signature (r, n-s): it verifies, and has another fingerprint."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(one.parsed.signature)
    signature = encode_dss_signature(r, order - s)
    tbs = one.parsed.tbs_certificate_bytes
    return parse_certificate(tlv(0x30, tbs, bytes.fromhex("300a06082a8648ce3d040302"), tlv(3, b"\0", signature)))


def test_the_same_key_under_another_certificate() -> None:
    registered = {LEAF.public_key_sha256: LEAF.keyid}
    second = parse_certificate(Forged().der())
    for other in (second, twin(LEAF)):
        assert other.keyid != LEAF.keyid
        assert judge_among(other, (ISSUING.certificate,), ROOT.certificate, NOW) is None
        verdict = judge_among(other, (ISSUING.certificate,), ROOT.certificate, NOW, registered=registered)
        assert verdict == "certificate-unknown"
    assert judge_among(LEAF, (ISSUING.certificate,), ROOT.certificate, NOW, registered=registered) is None


NEXT = make_issuing(ROOT, NOW, number=2)


def test_periods_side_by_side() -> None:
    """Both verify; each leaf is put under the one it names, whatever the order."""
    new = pilot.issue(NEXT, Role.REPLY, make_key().public_key(), operator="x", now=NOW)
    for both in ((ISSUING.certificate, NEXT.certificate), (NEXT.certificate, ISSUING.certificate)):
        assert issuer_of(LEAF, both) == ISSUING.certificate
        assert issuer_of(new, both) == NEXT.certificate
        assert said(LEAF.der, both) == said(new.der, both) == "stands"
    assert said(new.der, (ISSUING.certificate,)) == "certificate-unknown"
    assert said(new.der, (NEXT.certificate, NEXT.certificate)) == "stands"
    assert said(new.der, ()) == "certificate-unknown"


def test_an_issuer_with_the_same_name_is_told_apart_by_its_key() -> None:
    again = make_issuing(ROOT, NOW, number=1)
    assert again.certificate.parsed.subject == ISSUING.certificate.parsed.subject
    assert said(LEAF.der, (again.certificate, ISSUING.certificate)) == "stands"
    assert said(LEAF.der, (again.certificate,)) == "certificate-unknown"


def test_two_authorities_with_one_key_are_no_issuer() -> None:
    """A key is never in two authorities of ours; were it, nobody could say which one was meant."""
    again = make_issuing(ROOT, NOW, key=ISSUING.key)
    assert issuer_of(LEAF, (again.certificate, ISSUING.certificate)) is None


def test_the_number_of_issuers_has_an_end() -> None:
    many = [NEXT.certificate] * (ISSUERS_MAX + 1)
    with pytest.raises(ValueError, match="at most"):
        issuer_of(LEAF, many)


def test_another_root_of_the_same_name() -> None:
    foreign = make_root("试点", NOW)
    theirs = make_issuing(foreign, NOW)
    other = pilot.issue(theirs, Role.ARCHIVE, make_key().public_key(), operator="x", now=NOW)
    assert said(other.der, (theirs.certificate,)) == "certificate-unknown"
    assert theirs.certificate.parsed.subject == ISSUING.certificate.parsed.subject


def test_an_authority_below_the_issuing_one() -> None:
    """Path length 0: what an issuing CA signs is no authority, even if it says so."""
    key = make_key()
    held = ca_extensions(key)
    subject = name(("2.5.4.3", 0x0C, "Sub"))
    middle = parse_certificate(Forged(subject=subject, spki=spki_of(key), extensions=held).der())
    der = leaf(by=key, issuer=subject, key=make_key())
    assert said(der, (middle,)) == "certificate-unknown"
    assert said(der, (ISSUING.certificate, middle)) == "certificate-unknown"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("trick", ["leaf as CA", "forged basic constraints", "SHA-1 with ECDSA", "self-signed"])
def test_openssl_refuses_them_too(tmp_path: Path, trick: str) -> None:
    pilot.write_certificate(tmp_path / "root.pem", ROOT.certificate)
    pilot.write_certificate(tmp_path / "issuing.pem", ISSUING.certificate, LEAF)
    for file, der, right in (("right", LEAF.der, True), ("wrong", TRICKS[trick](), False)):
        (tmp_path / file).write_bytes(der)
        command = f"openssl verify -x509_strict -attime {int(NOW.timestamp())} -CAfile root.pem -untrusted issuing.pem"
        run = subprocess.run([*command.split(), file], cwd=tmp_path, capture_output=True, check=False)
        assert (run.returncode == 0) is right, run
