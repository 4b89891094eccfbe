"""`bianmin certs partner` as people use it: two of them, a roll-over, the list of a partner's CA."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import Certificate
from gateway.cli import run
from tests.stand.partner_pki import PartnerCa

Capture = pytest.CaptureFixture[str]


class Office:
    """An installation and its two people of the staff."""

    def __init__(self, folder: Path, capture: Capture) -> None:
        self.folder, self.capture = folder, capture
        assert run(["init", str(folder)]) == 0
        self.files = 0

    def run(self, *words: str, who: int = 0) -> tuple[int, str]:
        """Exit code and what was said; who: which of the two acts, 0: a command that needs none."""
        acting = []
        if who:
            keys, secrets = self.folder / "keys", self.folder / "secrets"
            acting = ["--as", str(keys / f"staff-{who}.cert.pem"), "--key", str(keys / f"staff-{who}.key.pem")]
            acting += ["--password-file", str(secrets / f"staff-{who}-key.password"), "--reason", "测试"]
        self.capture.readouterr()
        code = run(["certs", "partner", *words, *acting, "--config", str(self.folder / "bianmin.toml")])
        said = self.capture.readouterr()
        return code, said.out + said.err

    def pem(self, certificate: Certificate) -> str:
        """A file with it."""
        self.files += 1
        file = self.folder / f"partner-{self.files}.pem"
        file.write_bytes(certificate.parsed.public_bytes(Encoding.PEM))
        return str(file)

    def add(self, certificate: Certificate, use: str = "sign") -> None:
        """Both people."""
        code, said = self.run("add", "telecom", self.pem(certificate), "--use", use, who=1)
        assert code == 0, said
        code, said = self.run("approve", said.split()[-1], who=2)
        assert (code, said.endswith("is DONE\n")) == (0, True), said

    def list(self, code: int = 0) -> list[dict[str, Any]]:
        """What is pinned."""
        found, said = self.run("list", "--json")
        assert found == code, said
        listed: list[dict[str, Any]] = json.loads(said)
        return listed


@pytest.fixture
def office(tmp_path: Path, capsys: Capture) -> Office:
    return Office(tmp_path / "site", capsys)


def test_two_people_and_a_roll_over(office: Office) -> None:
    ca = PartnerCa(datetime.now(UTC))
    old, new = ca.alone("old").certificate, ca.alone("new").certificate
    code, said = office.run("add", "telecom", office.pem(old), who=1)
    assert code == 0
    assert old.keyid in said
    plan = said.split()[-1]
    assert office.list() == []
    code, said = office.run("approve", plan, who=1)
    assert code == 1, "the same person"
    assert office.list() == []
    assert office.run("approve", plan, who=2)[0] == 0
    office.add(new)
    assert [(one["keyid"], one["state"]) for one in office.list()] == [(old.keyid, "ACTIVE"), (new.keyid, "ACTIVE")]
    code, said = office.run("add", "telecom", office.pem(ca.alone("third").certificate), who=1)
    assert code == 1
    assert "close one first" in said
    assert office.run("close", "telecom", old.keyid, who=1)[0] == 0
    assert [one["state"] for one in office.list()] == ["CLOSED", "ACTIVE"]
    assert {(one["added_by"] != one["approved_by"]) for one in office.list()} == {True}


def test_a_plan_is_read_before_it_is_approved(office: Office) -> None:
    """M12: who approves a pin sees whose certificate it is and its SHA-256, not its base64; that is in --json."""
    ca = PartnerCa(datetime.now(UTC))
    held = ca.alone("their server").certificate
    plan = office.run("add", "telecom", office.pem(held), "--use", "tls", who=1)[1].split()[-1]
    words = ["ops", "show", plan, "--config", str(office.folder / "bianmin.toml")]
    office.capture.readouterr()
    assert run(words) == 0
    said = office.capture.readouterr().out
    assert f"    subject: CN=their server\n    valid: {held.not_before:%Y-%m-%d} to {held.not_after:%Y-%m-%d}\n" in said
    assert f"    SHA-256: {held.keyid}\n" in said
    assert "  biller: telecom\n" in said
    assert "decided_by" not in said, "nobody has yet: no empty lines"
    assert not any(line.endswith(":") for line in said.splitlines() if line not in ("plan:", "  certificate:"))
    assert max(map(len, said.splitlines())) < 120, "no base64"
    assert run([*words, "--json"]) == 0
    assert len(json.loads(office.capture.readouterr().out)["plan"]["fields"]["certificate"]) > 500
    code, said = office.run("add", "telecom", office.pem(ca.middle().certificate), "--use", "tls", who=1)
    code, said = office.run("approve", said.split()[-1], who=2) if code == 0 else (code, said)
    assert (code, "not that of an authority" in said) == (1, True), said


def test_the_list_of_a_partners_ca(office: Office) -> None:
    now = datetime.now(UTC)
    ca, other = PartnerCa(now), PartnerCa(now, "另一个")
    file = office.folder / "list.crl"

    def give(der: bytes) -> tuple[int, str]:
        file.write_bytes(der)
        return office.run("crl", "add", "telecom", str(file))

    assert "has no CA here" in give(ca.crl(1))[1]
    office.add(ca.authority.certificate, "ca")
    office.add(ca.leaf().certificate)
    assert {one["use"]: one["due"] for one in office.list(1)} == {"ca": True, "sign": False}
    assert give(ca.crl(5))[0] == 0
    assert office.list()[0]["crl_number"] == 5
    for der, why in (
        (other.crl(6), "crl-wrong-issuer"),
        (ca.crl(4), "crl-replayed"),
        (ca.crl(5, ca.leaf().certificate), "crl-replayed"),
        (ca.crl(6, at=now - timedelta(days=2)), "crl-stale"),
        (ca.crl(6, at=now + timedelta(hours=1)), "crl-not-yet"),
        (ca.crl(6)[:-1] + b"\0", "crl-bad-signature"),
        (b"x", "no revocation list"),
    ):
        code, said = give(der)
        assert code == 1
        assert why in said
    assert office.list()[0]["crl_number"] == 5
    assert give(ca.crl(6))[0] == 0


def test_a_certificate_about_to_end_is_told(office: Office) -> None:
    now = datetime.now(UTC)
    office.add(PartnerCa(now).leaf(ends=now + timedelta(days=6)).certificate)
    assert [one["due"] for one in office.list(1)] == [True]


def test_a_file_that_a_partner_signed(office: Office) -> None:
    """CERT-05: its day file or a letter about its keys, at the desk; a closed certificate proves nothing any more."""
    held, other = (ca := PartnerCa(datetime.now(UTC))).alone("one"), ca.alone("other")
    office.add(held.certificate)
    data, good, bad = (office.folder / name for name in ("day.txt", "day.sig", "bad.sig"))
    data.write_bytes(b"2026-11-24|100\n")
    good.write_bytes(held.signer.sign(data.read_bytes()))
    bad.write_bytes(other.signer.sign(data.read_bytes()))
    code, said = office.run("verify", "telecom", str(data), str(good))
    assert (code, said) == (0, f"signed by telecom {held.certificate.keyid}\n")
    assert office.run("verify", "telecom", str(data), str(good), "--keyid", held.certificate.keyid)[0] == 0
    code, said = office.run("verify", "nobody", str(data), str(good))
    assert (code, "(not-found): there is no biller nobody" in said) == (1, True)
    code, said = office.run("verify", "telecom", str(data), str(bad))
    assert code == 1
    assert "signature-invalid" in said
    data.write_bytes(b"2026-11-24|900\n")
    assert office.run("verify", "telecom", str(data), str(good))[0] == 1
    data.write_bytes(b"2026-11-24|100\n")
    assert office.run("close", "telecom", held.certificate.keyid, who=1)[0] == 0
    code, said = office.run("verify", "telecom", str(data), str(good))
    assert code == 1
    assert "certificate-revoked" in said


def test_the_dates_of_an_sm2_certificate_are_watched(office: Office) -> None:
    """CERT-03: by `certs expiring` and the metric; nothing is verified by it, and it is refused for any other use."""
    key, file = office.folder / "sm2.key", office.folder / "sm2.der"
    for words in (
        f"genpkey -algorithm SM2 -out {key}",
        (
            f"req -x509 -new -key {key} -sm3 -subj /CN=partner -days 5 -outform DER -out {file}"
            " -sigopt distid:1234567812345678"
        ),
    ):
        if subprocess.run(["openssl", *words.split()], capture_output=True, check=False).returncode:
            pytest.skip("this openssl has no SM2")
    for use in ("sign", "tls", "ca"):
        assert office.run("add", "telecom", str(file), "--use", use, who=1)[0] == 2, use
    code, said = office.run("add", "telecom", str(file), "--use", "watch", who=1)
    assert code == 0, said
    assert "CN=partner, until" in said
    assert office.run("approve", said.split()[-1], who=2)[0] == 0
    (listed,) = office.list(code=1)
    assert (listed["use"], listed["state"], listed["due"]) == ("watch", "ACTIVE", True)
    office.capture.readouterr()
    assert run(["certs", "expiring", "--json", "--config", str(office.folder / "bianmin.toml")]) == 1
    (ending,) = (one for one in json.loads(office.capture.readouterr().out) if one["role"] == "partner")
    assert (ending["keyid"], ending["biller"], ending["within_days"]) == (listed["keyid"], "telecom", 7)
    later = PartnerCa(datetime.now(UTC)).alone("later").certificate
    office.add(later, "watch")
    assert run(["certs", "expiring", "--config", str(office.folder / "bianmin.toml")]) == 0, "its successor is pinned"
    assert office.run("close", "telecom", later.keyid, who=1)[0] == 0
    assert run(["audit", "--config", str(office.folder / "bianmin.toml")]) == 0
