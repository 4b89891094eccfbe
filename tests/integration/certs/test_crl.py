"""Revocation lists as outsiders meet them: published by the command, fetched from the gateway, judged by openssl."""

import contextlib
import json
import os
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority.folder import read_folder
from certs.certificates import Certificate
from certs.core.revocation_lists import Reason, judge_crl, read_crl
from certs.keys import load_certificate
from gateway.cli import run
from gateway.core.rows import RevocationList
from gateway.store.shapes import shape_of
from tests.stand.softhsm import SoftHsm, softhsm_module

CODE = "33078200017"


class Site:
    """An installation that nobody serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert run(["init", str(folder)]) == 0
        self.issuing = load_certificate(folder / "keys/issuing.cert.pem")
        self.station = load_certificate(folder / f"stations/{CODE}/station.cert.pem")

    def bianmin(self, *words: str) -> int:
        """Exit code of a command."""
        return run([*words, "--config", str(self.folder / "bianmin.toml")])

    def sql(self, text: str, *values: object) -> list[tuple[object, ...]]:
        """Past the product."""
        with contextlib.closing(sqlite3.connect(self.folder / "var/bianmin.db", isolation_level=None)) as connection:
            return list(connection.execute(text, values))

    def lists(self) -> list[RevocationList]:
        """Every list of the book."""
        names = ", ".join(shape_of(RevocationList).names)
        found = self.sql(f"SELECT {names} FROM revocation_lists ORDER BY issuer_keyid, number")
        return [shape_of(RevocationList).build(row) for row in found]  # type: ignore[misc]

    def revoke(self, certificate: Certificate) -> None:
        """By the people whose right it is."""
        keys, secrets = self.folder / "keys", self.folder / "secrets"
        who = ["--as", str(keys / "staff-1.cert.pem"), "--key", str(keys / "staff-1.key.pem")]
        who += ["--password-file", str(secrets / "staff-1-key.password"), "--reason", "密钥外泄"]
        assert self.bianmin("certs", "revoke", certificate.keyid, "--code", "keyCompromise", *who) == 0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def openssl(folder: Path, leaf: Certificate, crl: bytes, site: Site, *more: str) -> str:
    """What `openssl verify -crl_check` says of a leaf."""
    (folder / "crl.pem").write_bytes(read_crl(crl).parsed.public_bytes(Encoding.PEM))
    (folder / "leaf.pem").write_bytes(leaf.parsed.public_bytes(Encoding.PEM))
    keys = site.folder / "keys"
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", str(folder / "crl.pem"), *more, "-CAfile",
         str(keys / "root.cert.pem"), "-untrusted", str(keys / "issuing.cert.pem"), str(folder / "leaf.pem")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_what_is_revoked_is_on_the_next_list(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.bianmin("certs", "crl", "show") == 1, "none yet"
    assert site.bianmin("certs", "crl", "publish") == 0
    first = site.lists()[0]
    assert (first.number, first.issuer_keyid) == (1, site.issuing.keyid)
    assert "OK" in openssl(tmp_path, site.station, first.der, site)

    site.revoke(site.station)
    assert site.bianmin("certs", "crl", "publish") == 0
    second = site.lists()[1]
    assert second.number == 2
    (entry,) = read_crl(second.der).revoked.values()
    assert (entry.serial, entry.reason) == (site.station.serial, Reason.KEY_COMPROMISE)
    assert "certificate revoked" in openssl(tmp_path, site.station, second.der, site)
    reply = load_certificate(site.folder / "keys/reply.cert.pem")
    assert "OK" in openssl(tmp_path, reply, second.der, site)

    capsys.readouterr()
    assert site.bianmin("certs", "crl", "show", "--json", "--out", str(tmp_path / "out.pem")) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["number"], shown["serials"]) == ("good", 2, [f"{site.station.serial:x}"])
    assert read_crl((tmp_path / "out.pem").read_bytes()).der == second.der


def test_a_day_later_it_is_stale(site: Site, tmp_path: Path) -> None:
    assert site.bianmin("certs", "crl", "publish") == 0
    ((der,),) = site.sql("SELECT der FROM revocation_lists")
    assert isinstance(der, bytes)
    later = str(int((datetime.now(UTC) + timedelta(hours=25)).timestamp()))
    assert "CRL has expired" in openssl(tmp_path, site.station, der, site, "-attime", later)


needs_softhsm = pytest.mark.skipif(softhsm_module() is None, reason="SoftHSM is not installed")


@needs_softhsm
def test_a_key_in_a_token_signs_every_period(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hsm = SoftHsm(tmp_path / "hsm")
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    token, ca = hsm.make_token("ISSUING"), tmp_path / "ca"
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    made = ["--module", str(hsm.module), "--issuing-token", token.label, "--root-password-file", str(password)]
    assert run(["certs", "ca", "init", str(ca), "--organization", "试验局", *made, *pins(token.pin)]) == 0
    assert run(["certs", "ca", "rotate", str(ca), *made, *pins(token.pin)]) == 0
    assert site.bianmin("certs", "crl", "publish", "--ca", str(ca), *pins(token.pin, token.pin)) == 0
    found = site.lists()
    assert {row.issuer_keyid for row in found} == {one.certificate.keyid for one in read_folder(ca).issuing}
    for period in read_folder(ca).issuing:
        (row,) = (one for one in found if one.issuer_keyid == period.certificate.keyid)
        assert judge_crl(read_crl(row.der), period.certificate, datetime.now(UTC)) is None
    capsys.readouterr()
    assert site.bianmin("certs", "crl", "publish", "--ca", str(ca), *pins("000000", token.pin)) == 1
    assert "wrong PIN" in capsys.readouterr().err
    assert len(site.lists()) == 2


def pins(*each: str) -> list[str]:
    """A descriptor for each PIN, as words."""
    words = []
    for pin in each:
        reading, writing = os.pipe()
        os.write(writing, pin.encode() + b"\n")
        os.close(writing)
        words += ["--pin-fd", str(reading)]
    return words
