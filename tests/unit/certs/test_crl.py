"""Revocation lists: ours as openssl sees them, and those of others, which fail closed."""

import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA224, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certs import pilot
from certs.authority.issuing import Authority, IssueRefused, make_issuing, make_key, make_root
from certs.authority.lists import make_crl
from certs.certificates import Role, parse_certificate
from certs.core.revocation_lists import (
    SIZE_MAX,
    CrlError,
    Reason,
    RevocationList,
    Revoked,
    Seen,
    judge_crl,
    read_crl,
)
from tests.unit.certs.forged import ISSUING, KEY, ROOT, Forged, extension, extensions, tlv
from tests.unit.certs.material import NOW

HOUR = timedelta(hours=1)
LOST = Revoked(serial=77, at=NOW - HOUR, reason=Reason.KEY_COMPROMISE)
LEFT = Revoked(serial=5, at=NOW - 2 * HOUR, reason=Reason.CESSATION_OF_OPERATION)
PLAIN = Revoked(serial=6, at=NOW)


def theirs(
    *,
    by: Authority = ISSUING,
    number: int | None = 3,
    begin: datetime = NOW - HOUR,
    end: datetime = NOW + HOUR,
    entries: Sequence[x509.RevokedCertificate] = (),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    named: Authority = ISSUING,
    aki_of: Authority | None = ISSUING,
    hashed: type[SHA224 | SHA256] = SHA256,
) -> bytes:
    """A list as a partner's CA may send it."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(named.certificate.parsed.subject)
        .last_update(begin)
        .next_update(end)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if aki_of is not None:
        key = aki_of.certificate.public_key
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
    for one, critical in extra:
        builder = builder.add_extension(one, critical=critical)
    for revoked in entries:
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(by.key, hashed()).public_bytes(Encoding.DER)


def entry(serial: int, *extra: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    """One entry with extensions."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR)
    for one, critical in extra:
        builder = builder.add_extension(one, critical=critical)
    return builder.build()


def said(data: bytes, *, at: datetime = NOW, seen: Seen | None = None, issuer: Authority = ISSUING) -> str | None:
    """The judge's word."""
    return judge_crl(read_crl(data), issuer.certificate, at, seen=seen)


def test_ours_reads_back() -> None:
    made = make_crl(ISSUING, number=8, after=7, now=NOW, revoked=[LOST, LEFT, PLAIN], valid=HOUR)
    found = read_crl(made)
    assert (found.number, found.next_update) == (8, NOW + HOUR)
    assert list(found.revoked.values()) == [LEFT, PLAIN, LOST]
    assert judge_crl(found, ISSUING.certificate, NOW) is None
    assert read_crl(found.der) == found
    assert read_crl(make_crl(ROOT, number=1, after=0, now=NOW)).revoked == {}


def test_the_clock_is_exact() -> None:
    made = theirs()
    assert said(made, at=NOW - HOUR) is None
    assert said(made, at=NOW - HOUR - timedelta(microseconds=1)) == "crl-not-yet"
    assert said(made, at=NOW + HOUR - timedelta(microseconds=1)) is None
    assert said(made, at=NOW + HOUR) == "crl-stale"


def seen_of(one: RevocationList) -> Seen:
    """As the register keeps it."""
    return Seen(number=one.number, sha256=one.sha256)


def test_older_and_twice_numbered_lists_are_replays() -> None:
    """A thief who holds the list of before the loss sends it once more: still fresh, and refused."""
    old, new = theirs(number=3), theirs(number=4, entries=[entry(77)])
    seen = seen_of(read_crl(new))
    assert said(old) is None
    assert said(old, seen=seen) == "crl-replayed"
    assert said(new, seen=seen) is None
    assert said(theirs(number=4), seen=seen) == "crl-replayed"
    assert said(theirs(number=5), seen=seen) is None


def test_issuer_and_signature() -> None:
    foreign = make_issuing(make_root("试点", NOW - HOUR), NOW - HOUR)
    assert said(theirs(by=foreign)) == "crl-bad-signature"
    assert said(theirs(by=foreign, aki_of=foreign)) == "crl-wrong-issuer"
    assert said(theirs(named=ROOT)) == "crl-wrong-issuer"
    assert said(theirs(aki_of=None)) == "crl-wrong-issuer"
    assert said(theirs(hashed=SHA224)) == "crl-bad-signature"
    made = bytearray(theirs())
    made[-1] ^= 1
    assert said(bytes(made)) == "crl-bad-signature"


def test_a_leaf_signs_no_list() -> None:
    shop = pilot.issue(
        ISSUING, Role.STATION, KEY.public_key(), operator="x", institution_code="460123", usb_key_serial="U", now=NOW
    )
    own = Authority(shop, KEY, "试点")
    assert said(theirs(by=own, named=own, aki_of=own), issuer=own) == "crl-wrong-issuer"


@pytest.mark.parametrize(
    ("constraints", "usages", "right"),
    [("30060101ff020100", "03020106", True), ("30060101ff020100", "03020204", False), ("3000", "03020102", False)],
    ids=["both", "not cRLSign", "not a CA"],
)
def test_who_may_sign_a_list(constraints: str, usages: str, right: bool) -> None:
    held = extensions(
        without="eku",
        basic=extension("2.5.29.19", bytes.fromhex(constraints), critical=True),
        usage=extension("2.5.29.15", bytes.fromhex(usages), critical=True),
    )
    own = Authority(parse_certificate(Forged(extensions=held).der()), KEY, "试点")
    assert said(theirs(by=own, named=own, aki_of=own), issuer=own) == (None if right else "crl-wrong-issuer")


def test_short_rsa_keys_sign_no_list() -> None:
    short = rsa.generate_private_key(65537, 1024)
    name = x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(short.public_key())
        .serial_number(9)
        .not_valid_before(NOW)
        .not_valid_after(NOW + HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(short.public_key()), critical=False)
        .add_extension(
            ISSUING.certificate.parsed.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True
        )
        .sign(short, SHA256())
    )
    weak = Authority(parse_certificate(made.public_bytes(Encoding.DER)), short, "x")
    assert said(theirs(by=weak, named=weak, aki_of=weak), issuer=weak) == "crl-bad-signature"


DISTRIBUTION = x509.IssuingDistributionPoint(
    full_name=[x509.UniformResourceIdentifier("http://x")],
    relative_name=None,
    only_contains_user_certs=False,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        theirs() + b"\0",
        theirs()[:-1],
        bytes(SIZE_MAX + 1),
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        make_crl(ISSUING, number=1, after=0, now=NOW) * 2,
        theirs(number=None),
        theirs(extra=[(x509.DeltaCRLIndicator(2), True)]),
        theirs(extra=[(x509.DeltaCRLIndicator(2), False)]),
        theirs(extra=[(DISTRIBUTION, True)]),
        theirs(extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]),
        theirs(entries=[entry(5), entry(5)]),
        theirs(entries=[entry(5, (x509.CertificateIssuer([x509.DNSName("x")]), True))]),
        theirs(entries=[entry(5, (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False))]),
    ],
)
def test_unusable(data: bytes) -> None:
    with pytest.raises(CrlError):
        read_crl(data)


def without_next_update() -> bytes:
    """A list that never gets stale."""
    made = x509.load_der_x509_crl(theirs())
    stamp = tlv(0x17, (NOW + HOUR).strftime("%y%m%d%H%M%SZ").encode())
    assert made.tbs_certlist_bytes.count(stamp) == 1
    body = made.tbs_certlist_bytes.replace(stamp, b"")
    body = tlv(0x30, body[3:] if body[1] == 0x81 else body[4:])
    return tlv(0x30, body, bytes.fromhex("300a06082a8648ce3d040302"), tlv(3, b"\0", made.signature))


def test_a_list_without_an_end() -> None:
    assert x509.load_der_x509_crl(without_next_update()).next_update_utc is None
    with pytest.raises(CrlError, match="nextUpdate"):
        read_crl(without_next_update())


def test_holds_of_others_are_revocations_to_us() -> None:
    found = read_crl(theirs(entries=[entry(5, (x509.CRLReason(x509.ReasonFlags.certificate_hold), False))]))
    assert found.revoked[5].reason is Reason.CERTIFICATE_HOLD


@pytest.mark.parametrize(
    ("slug", "number", "after", "revoked"),
    [
        ("crl-number", 7, 7, []),
        ("crl-number", 6, 7, []),
        ("crl-number", 0, 0, []),
        ("crl-number", 1, -1, []),
        ("crl-entry", 8, 7, [LOST, LOST]),
        ("crl-entry", 8, 7, [Revoked(serial=1, at=NOW + timedelta(seconds=1))]),
        ("crl-entry", 8, 7, [Revoked(serial=1, at=NOW, reason=Reason.CERTIFICATE_HOLD)]),
    ],
)
def test_what_we_do_not_publish(slug: str, number: int, after: int, revoked: list[Revoked]) -> None:
    with pytest.raises(IssueRefused) as refused:
        make_crl(ISSUING, number=number, after=after, now=NOW, revoked=revoked)
    assert refused.value.slug == slug


def test_a_list_signed_by_the_wrong_key_is_not_let_out() -> None:
    with pytest.raises(IssueRefused, match="crl-unsound"):
        make_crl(Authority(ISSUING.certificate, make_key(), "x"), number=1, after=0, now=NOW)
    with pytest.raises(IssueRefused, match="crl-stale"):
        make_crl(ISSUING, number=1, after=0, now=NOW, valid=timedelta())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees(tmp_path: Path) -> None:
    shops = [
        pilot.issue(
            ISSUING,
            Role.STATION,
            make_key().public_key(),
            operator="x",
            institution_code="460123",
            usb_key_serial="U",
            now=NOW,
        )
        for _ in range(2)
    ]
    pilot.write_certificate(tmp_path / "root.pem", ROOT.certificate)
    pilot.write_certificate(tmp_path / "issuing.pem", ISSUING.certificate)
    revoked = [Revoked(serial=shops[1].serial, at=NOW - HOUR, reason=Reason.KEY_COMPROMISE)]
    both = make_crl(ISSUING, number=258, after=257, now=NOW, revoked=revoked) + make_crl(
        ROOT, number=1, after=0, now=NOW
    )
    (tmp_path / "crl.pem").write_bytes(both)

    def verify(shop: int, at: datetime) -> str:
        (tmp_path / "leaf.pem").unlink(missing_ok=True)
        pilot.write_certificate(tmp_path / "leaf.pem", shops[shop])
        command = "openssl verify -x509_strict -crl_check_all -CRLfile crl.pem -CAfile root.pem -untrusted issuing.pem"
        run = subprocess.run(
            [*command.split(), "-attime", str(int(at.timestamp())), "leaf.pem"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode == 0) is (run.stdout.strip() == "leaf.pem: OK")
        return run.stdout.strip() + run.stderr

    assert verify(0, NOW).startswith("leaf.pem: OK")
    assert "revoked" in verify(1, NOW)
    assert "CRL has expired" in verify(0, NOW + timedelta(hours=24, seconds=1))
    text = subprocess.run(
        ["openssl", "crl", "-in", "crl.pem", "-noout", "-text"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "X509v3 CRL Number: \n                258" in text
    assert "Key Compromise" in text
    assert f"{shops[1].serial:X}" in text
