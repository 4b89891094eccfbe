"""Issuing: what is let out, what is refused, and that a slip of the signing key lets nothing out."""

import shutil
import subprocess
from collections.abc import Container
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from certs import pilot
from certs.authority import issuing as module
from certs.authority.issuing import (
    BACKDATED,
    SERIAL_BITS,
    Authority,
    IssueRefused,
    issue,
    make_issuing,
    make_key,
    make_root,
)
from certs.authority.profiles import profile, profiles
from certs.authority.signing import as_private_key
from certs.certificates import ROLE_OIDS, Certificate, Role, judge
from certs.core.certificate_profiles import CertificateProfile, Need, read_profiles
from certs.core.certificate_requests import KnownKeys, RequestRefused
from certs.core.certificates import PublicKey
from certs.core.subjects import Subject
from certs.keys import PrivateKey
from tests.unit.certs.forged import ISSUING, KEY, ROOT, SHOP
from tests.unit.certs.material import NOW

LEAVES = [one for one in profiles().values() if not one.ca]
RSA_KEY, RSA_CA_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))


def subject(kind: CertificateProfile) -> Subject:
    """Every field the profile allows."""
    allowed = {field for field, need in kind.subject.items() if need is not Need.NONE}
    full = {"operator": "张三", "institution_code": "46012345", "usb_key_serial": "UK-1"}
    return Subject(organization="试点", **{field: value for field, value in full.items() if field in allowed})


def made(kind: str = "station", **changed: Any) -> Certificate:
    """Issue one."""
    given: dict[str, Any] = {"issuing": ISSUING, "key": KEY.public_key(), "subject": SHOP, "now": NOW} | changed
    issuer, key, whom = given.pop("issuing"), given.pop("key"), given.pop("subject")
    return issue(issuer, profile(kind), key, whom, **given)


def refused(kind: str = "station", **changed: Any) -> str:
    """The slug."""
    with pytest.raises((IssueRefused, RequestRefused)) as wrong:
        made(kind, **changed)
    assert isinstance(wrong.value, IssueRefused | RequestRefused)
    return wrong.value.slug


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("key", [KEY, RSA_KEY], ids=["ec", "rsa"])
@pytest.mark.parametrize("ca_key", [None, RSA_CA_KEY], ids=["ec-ca", "rsa-ca"])
def test_every_profile(tmp_path: Path, kind: CertificateProfile, key: PrivateKey, ca_key: PrivateKey | None) -> None:
    issuing = ISSUING if ca_key is None else make_issuing(ROOT, NOW, key=ca_key)
    one = issue(issuing, kind, key.public_key(), subject(kind), now=NOW)
    assert one.role is kind.role
    assert judge(one, issuing.certificate, ROOT.certificate, NOW) is None
    assert one.not_before == max(NOW - BACKDATED, issuing.certificate.not_before)
    assert one.not_after == min(one.not_before + timedelta(days=kind.days), issuing.certificate.not_after)
    pilot.write_certificate(tmp_path / "root.pem", ROOT.certificate)
    pilot.write_certificate(tmp_path / "issuing.pem", issuing.certificate)
    pilot.write_certificate(tmp_path / "leaf.pem", one)
    if shutil.which("openssl"):
        openssl(tmp_path, kind)


def openssl(folder: Path, kind: CertificateProfile) -> None:
    """openssl's own reading of the chain and of the text."""
    command = f"openssl verify -x509_strict -check_ss_sig -attime {int(NOW.timestamp())} -CAfile root.pem"
    run = subprocess.run(
        [*command.split(), "-untrusted", "issuing.pem", "leaf.pem"], cwd=folder, capture_output=True, check=False
    )
    assert run.returncode == 0, run
    # It is no certificate for TLS: the private EKU alone is none of the purposes openssl knows.
    for purpose in ("sslclient", "sslserver", "smimesign", "codesign"):
        wrong = subprocess.run(
            [*command.split(), "-purpose", purpose, "-untrusted", "issuing.pem", "leaf.pem"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        assert wrong.returncode != 0, purpose
    text = subprocess.run(
        ["openssl", "x509", "-in", "leaf.pem", "-noout", "-text"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert kind.role is not None
    extended = text.partition("X509v3 Extended Key Usage")[2].split("\n")[1].strip()
    assert extended == ROLE_OIDS[kind.role]
    assert text.partition("X509v3 Key Usage: critical")[2].split("\n")[1].strip() == "Digital Signature"
    assert text.partition("X509v3 Basic Constraints: critical")[2].split("\n")[1].strip() == "CA:FALSE"
    assert "Version: 3" in text
    assert text.count("X509v3 ") - text.count("X509v3 extensions") == 5


def test_authorities() -> None:
    assert ROOT.certificate.operator == "试点 root"
    assert ISSUING.certificate.operator == "试点 issuing 1"
    long = make_root("局" * 21, NOW)
    assert long.certificate.operator == "局" * 19 + " root"
    assert make_issuing(long, NOW, number=12).certificate.operator == "局" * 17 + " issuing 12"
    with pytest.raises(IssueRefused, match="organization"):
        make_root("局" * 22, NOW)
    with pytest.raises(IssueRefused, match="issuer-unfit"):
        make_issuing(ISSUING, NOW)
    with pytest.raises(IssueRefused, match="issuer-ends-soon"):
        make_issuing(ROOT, ROOT.certificate.not_after - timedelta(days=1000))
    with pytest.raises(RequestRefused, match="size"):
        make_root("x", NOW, rsa.generate_private_key(65537, 1024))


def test_serials() -> None:
    serials = {made().serial for _ in range(20)}
    assert len(serials) == 20
    assert {one.bit_length() for one in serials} == {SERIAL_BITS}
    assert len({one >> 100 for one in serials}) == 20


class First:
    """A set of serials that holds the first ones that are asked for."""

    def __init__(self, count: int) -> None:
        self.left, self.asked = count, list[int]()

    def __contains__(self, serial: object) -> bool:
        assert isinstance(serial, int)
        self.asked.append(serial)
        self.left -= 1
        return self.left >= 0


def test_a_serial_that_was_issued_is_drawn_again() -> None:
    taken: Container[int] = First(3)
    one = made(serials=taken)
    assert isinstance(taken, First)
    assert one.serial == taken.asked[-1]
    assert len(set(taken.asked)) == 4
    assert refused(serials=First(1000)) == "serial"


def test_keys() -> None:
    one = made()
    assert refused(known=KnownKeys(public_keys={one.public_key_sha256})) == "key-known"
    assert refused(key=ec.generate_private_key(ec.SECP384R1()).public_key()) == "key-weak-curve"
    assert refused(key=rsa.generate_private_key(3, 2048).public_key()) == "key-weak-exponent"
    numbers = RSA_KEY.private_numbers()
    shared = KnownKeys(moduli=[numbers.p * 3])
    assert refused(key=RSA_KEY.public_key(), known=shared) == "key-weak-shared-factor"
    assert refused(key=ISSUING.key.public_key()) == "issuer-unfit"


SUBJECTS = {
    "operator": [
        "",
        " 张三",
        "张三 ",
        "张\0三",
        "张\n三",
        "x" * 65,
        "张" * 22,
        "\ud800",
        "e\u0301",
        "\u202e三张",
        "\ue000",
    ],
    "institution_code": ["", "12345", "1" * 15, "46O12345", "４６０１２３４５", "4601-2345"],
    "usb_key_serial": ["", "-UK1", "UK_1", "UK 1", "ＵＫ１", "U" * 65, "张三"],
    "organization": ["", "别的局"],
}


@pytest.mark.parametrize(("field", "value"), [(one, value) for one, values in SUBJECTS.items() for value in values])
def test_subjects(field: str, value: str) -> None:
    full = {"organization": "试点", "operator": "张三", "institution_code": "46012345", "usb_key_serial": "UK1"}
    with pytest.raises(IssueRefused, match=field) as wrong:
        made(subject=Subject(**(full | {field: value})))
    assert wrong.value.slug == "subject"


def test_a_person_of_the_staff_has_department_and_key() -> None:
    for gone in ("institution_code", "usb_key_serial"):
        fields = {"institution_code": "460123", "usb_key_serial": "UK9"} | {gone: ""}
        assert refused("staff", subject=Subject(organization="试点", operator="王五", **fields)) == "subject"


def test_who_issues_what() -> None:
    for kind in ("root", "issuing"):
        assert refused(kind, subject=Subject(organization="试点", operator="x")) == "issuer-unfit"
    assert refused(issuing=ROOT) == "issuer-unfit"
    leaf = Authority(made(), KEY, "试点")
    assert refused(issuing=leaf, key=make_key().public_key()) == "issuer-unfit"


def test_time() -> None:
    end = ISSUING.certificate.not_after
    assert made(now=end - timedelta(days=91)).not_after == end
    assert refused(now=end - timedelta(days=89)) == "issuer-ends-soon"
    assert refused(now=end + timedelta(days=1)) == "issuer-ends-soon"
    assert refused("archive", now=end - timedelta(days=2000)) == "issuer-ends-soon"
    assert refused(now=ISSUING.certificate.not_before - timedelta(seconds=1)) == "issuer-not-yet"
    assert made(now=ISSUING.certificate.not_before).not_before == ISSUING.certificate.not_before
    odd = NOW + timedelta(microseconds=999_999)
    assert made(now=odd).not_before == NOW - BACKDATED


def test_after_2049_times_are_written_the_other_way() -> None:
    later = datetime(2049, 6, 1, tzinfo=NOW.tzinfo)
    root = make_root("试点", later)
    one = made(issuing=make_issuing(root, later), now=later)
    assert one.not_after.year == 2051


class Elsewhere:
    """A token: it holds one key, tells another one's public half, or spoils what it signs."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, *, told: PublicKey | None = None, spoil: bool = False) -> None:
        self._key, self._told, self._spoil = key, told or key.public_key(), spoil

    @property
    def public_key(self) -> PublicKey:
        """What it says."""
        return self._told

    def sign(self, data: bytes) -> bytes:
        """What it does."""
        r, s = decode_dss_signature(self._key.sign(data + b"x" if self._spoil else data, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


def test_a_whole_authority_behind_the_port() -> None:
    root = make_root("试点", NOW, as_private_key(Elsewhere(make_key())))
    issuing = make_issuing(root, NOW, key=as_private_key(Elsewhere(make_key())))
    one = made(issuing=issuing)
    assert judge(one, issuing.certificate, root.certificate, NOW) is None


def test_a_token_that_signs_wrongly_lets_nothing_out() -> None:
    with pytest.raises(IssueRefused, match="signature"):
        make_root("试点", NOW, as_private_key(Elsewhere(make_key(), told=KEY.public_key())))
    assert isinstance(ISSUING.key, ec.EllipticCurvePrivateKey)
    spoiling = Authority(ISSUING.certificate, as_private_key(Elsewhere(ISSUING.key, spoil=True)), "试点")
    assert refused(issuing=spoiling) == "lint"
    other = Authority(ISSUING.certificate, make_key(), "试点")
    assert refused(issuing=other) == "lint"


def test_a_slip_of_the_builder_lets_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lints stand behind the builder: one that makes every leaf a certificate signer makes none."""
    right = module._usage(profile("issuing"))
    monkeypatch.setattr(module, "_usage", lambda kind: right)
    with pytest.raises(IssueRefused, match="key-usage") as wrong:
        made()
    assert [one.rule for one in wrong.value.findings] == ["key-usage"]


RIGHT: dict[str, Any] = {
    "role": "station",
    "days": 10,
    "days_min": 1,
    "key_usage": ["digitalSignature"],
    "keys": ["P-256"],
    "hash": "sha256",
    "subject": {"operator": "required", "institution_code": "none", "usb_key_serial": "optional"},
}
CA = {"ca": True, "path_length": 0, "key_usage": ["keyCertSign"]}
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("unknown keys", {"extra": 1}),
    ("either ca", {"ca": True, "path_length": 0}),
    ("path_length", {"path_length": 0}),
    ("unknown role", {"role": "root"}),
    ("days_min", {"days": 0}),
    ("days_min", {"days": "10"}),
    ("days_min", {"days_min": 11}),
    ("days_min", {"days": 7301}),
    ("key_usage", {"key_usage": ["keyCertSign"]}),
    ("key_usage", {"key_usage": []}),
    ("a leaf signs", {"key_usage": ["nonRepudiation"]}),
    ("keys", {"keys": ["P-384"]}),
    ("hash", {"hash": "sha1"}),
    ("subject has", {"subject": {"operator": "required"}}),
    ("operator", {"subject": RIGHT["subject"] | {"operator": "none"}}),
    ("subject fields", {"subject": RIGHT["subject"] | {"usb_key_serial": "maybe"}}),
]


def test_profiles_are_checked() -> None:
    assert read_profiles({"x": RIGHT})["x"].eku == ROLE_OIDS[Role.STATION]
    authority = {key: value for key, value in RIGHT.items() if key != "role"} | CA
    assert read_profiles({"x": authority})["x"].ca
    with pytest.raises(ValueError, match="path_length"):
        read_profiles({"x": authority | {"path_length": 2}})
    with pytest.raises(ValueError, match="missing keys"):
        read_profiles({"x": {"role": "station"}})
    assert set(profiles()) == {"root", "issuing", *Role, "staff"}


@pytest.mark.parametrize(("what", "change"), WRONG)
def test_a_wrong_profile_is_told(what: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"certificate profile x: .*{what}"):
        read_profiles({"x": RIGHT | change})
