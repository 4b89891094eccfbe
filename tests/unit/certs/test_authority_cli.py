"""`bianmin certs ca`: init, rotate, show; keys in files, and keys that never leave a token."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from certs import pilot
from certs.authority.folder import ALL, opened_authority, read_folder
from certs.authority.keyring import place_of
from certs.certificates import Certificate, Role
from certs.cli import group
from certs.cli_ca import Secrets
from certs.core.chains import issuer_of, judge_among
from certs.keys import KeyFileError, PemSigner, load_certificate, load_certificates
from tests.stand.softhsm import SoftHsm, SoftToken, softhsm_module
from tests.unit.certs.material import NOW

PASSWORD = "correct horse battery"
needs_softhsm = pytest.mark.skipif(softhsm_module() is None, reason="SoftHSM is not installed (package softhsm2)")


@dataclass
class Moment:
    """A clock that stands."""

    at: datetime = NOW

    def now(self) -> datetime:
        """That moment."""
        return self.at


@dataclass
class Here:
    """contracts.ports.Surroundings."""

    clock: Moment


class Desk:
    """A folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, folder / "ca"
        self.clock = Moment()
        (folder / "pw").write_text(PASSWORD + "\n")

    def run(self, *words: str, typed: str | None = None) -> Result:
        """A command of `certs ca`."""
        return CliRunner().invoke(group, ["ca", *words], obj=Here(self.clock), input=typed)

    def init(self, *words: str, typed: str | None = None) -> Result:
        """Make the authority, passwords from the file unless told otherwise."""
        given = words or (
            "--root-password-file",
            str(self.folder / "pw"),
            "--issuing-password-file",
            f"{self.folder}/pw",
        )
        return self.run("init", str(self.ca), "--organization", "试点邮政局", *given, typed=typed)

    def show(self) -> dict[str, Any]:
        """As JSON."""
        done = self.run("show", str(self.ca), "--json")
        return {"exit": done.exit_code, **json.loads(done.output)}

    def secrets(self) -> Secrets:
        """The passwords."""
        return Secrets({"root": self.folder / "pw", "issuing": self.folder / "pw"}, ())

    def issue(self) -> Certificate:
        """A leaf under the issuing CA of now."""
        folder = read_folder(self.ca)
        period = folder.current(self.clock.at)
        assert period is not None
        with opened_authority(folder, period.name, period.certificate, self.secrets()) as issuing:
            return pilot.issue(issuing, Role.REPLY, pilot.make_key().public_key(), operator="x", now=self.clock.at)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A fresh one."""
    return Desk(tmp_path)


def test_init_writes_an_authority_that_works(desk: Desk) -> None:
    done = desk.init()
    assert done.exit_code == 0, done.output
    names = {"root.cert.pem", "root.key.pem", "issuing.cert.pem", "issuing.key.pem", ALL}
    assert {file.name for file in desk.ca.iterdir()} == names
    assert desk.ca.stat().st_mode & 0o777 == 0o700
    assert {(desk.ca / one).stat().st_mode & 0o777 for one in ("root.key.pem", "issuing.key.pem")} == {0o600}
    root, one = load_certificate(desk.ca / "root.cert.pem"), desk.issue()
    assert judge_among(one, load_certificates(desk.ca / ALL), root, NOW) is None
    by = PemSigner.load(desk.ca / "issuing.cert.pem", desk.ca / "issuing.key.pem", desk.folder / "pw")
    assert by.certificate.serial != root.serial
    assert PASSWORD not in done.output


def test_passwords_are_asked_for_twice_and_must_be_long(desk: Desk) -> None:
    short = desk.init("--issuing-password-file", str(desk.folder / "pw"), typed="short\nshort\n")
    assert short.exit_code == 1
    assert "at least 12" in short.output
    assert not desk.ca.exists()
    differ = desk.init("--issuing-password-file", str(desk.folder / "pw"), typed=f"{PASSWORD}\nother\n")
    assert differ.exit_code == 1
    assert not desk.ca.exists()
    right = desk.init("--issuing-password-file", str(desk.folder / "pw"), typed=f"{PASSWORD} 2\n{PASSWORD} 2\n")
    assert right.exit_code == 0
    again = desk.run(
        "rotate", str(desk.ca), "--issuing-password-file", str(desk.folder / "pw"), typed=f"{PASSWORD} 2\n"
    )
    assert again.exit_code == 0, again.output


def test_nothing_is_overwritten(desk: Desk) -> None:
    desk.init()
    before = {file.name: file.read_bytes() for file in desk.ca.iterdir()}
    assert isinstance(desk.init().exception, FileExistsError)
    assert {file.name: file.read_bytes() for file in desk.ca.iterdir()} == before


def test_a_wrong_organization_leaves_nothing(desk: Desk) -> None:
    words = ("--root-password-file", f"{desk.folder}/pw", "--issuing-password-file", f"{desk.folder}/pw")
    done = desk.run("init", str(desk.ca), "--organization", "局" * 22, *words)
    assert done.exit_code == 1
    assert "organization" in done.output
    assert not desk.ca.exists()


def rotate(desk: Desk) -> Result:
    """With the passwords of the file."""
    pw = str(desk.folder / "pw")
    return desk.run("rotate", str(desk.ca), "--root-password-file", pw, "--issuing-password-file", pw)


def test_periods(desk: Desk) -> None:
    """Nine years on a new issuing CA takes over; what the old one issued verifies to its end, and not longer."""
    desk.init()
    first = desk.issue()
    assert desk.show()["rotate_due"] is False
    desk.clock.at = NOW + timedelta(days=3000)
    assert desk.show()["rotate_due"] is True
    assert "is due" in desk.run("show", str(desk.ca)).output
    assert rotate(desk).exit_code == 0
    about = desk.show()
    assert (about["exit"], about["current"], about["rotate_due"]) == (0, 2, False)
    assert [one["state"] for one in about["issuing"]] == ["verifies", "issues"]
    second, both = desk.issue(), load_certificates(desk.ca / ALL)
    root = load_certificate(desk.ca / "root.cert.pem")
    old, new = load_certificate(desk.ca / "issuing.cert.pem"), load_certificate(desk.ca / "issuing-2.cert.pem")
    assert both == (new, old)
    assert (issuer_of(first, both), issuer_of(second, both)) == (old, new)
    assert judge_among(first, both, root, NOW + timedelta(days=700)) is None
    assert judge_among(second, both, root, desk.clock.at) is None
    desk.clock.at = old.not_after
    assert [one["state"] for one in desk.show()["issuing"]] == ["ended", "issues"]
    assert judge_among(second, both, root, desk.clock.at) is None
    assert judge_among(first, both, root, desk.clock.at) == "certificate-expired"
    desk.clock.at = new.not_after
    assert (desk.show()["exit"], desk.show()["current"]) == (1, None)


def test_the_root_ends_too(desk: Desk) -> None:
    desk.init()
    desk.clock.at = NOW + timedelta(days=7300 - 1000)
    done = rotate(desk)
    assert done.exit_code == 1
    assert "issuer-ends-soon" in done.output
    assert [one["number"] for one in desk.show()["issuing"]] == [1]
    # The number of the failed try is not used again, and its key stands in nobody's way.
    desk.clock.at = NOW
    assert rotate(desk).exit_code == 0
    assert [one["number"] for one in desk.show()["issuing"]] == [1, 3]


def test_a_folder_that_is_not_what_it_says(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="root"):
        read_folder(tmp_path)
    desk.init()
    (tmp_path / "other").mkdir()
    other = Desk(tmp_path / "other")
    other.init()
    shutil.copy(other.ca / "issuing.cert.pem", desk.ca / "issuing-2.cert.pem")
    with pytest.raises(KeyFileError, match="under root"):
        read_folder(desk.ca)
    shutil.copy(desk.ca / "issuing.cert.pem", desk.ca / "issuing-2.cert.pem")
    shutil.copy(other.ca / "issuing.key.pem", desk.ca / "issuing-2.key.pem")
    folder = read_folder(desk.ca)
    wrong = folder.issuing[1]
    with (
        pytest.raises(KeyFileError, match="beside it"),
        opened_authority(folder, wrong.name, wrong.certificate, desk.secrets()),
    ):
        pass
    (desk.folder / "pw").write_text("another password\n")
    right = folder.issuing[0]
    with (
        pytest.raises(KeyFileError, match="not readable with the password"),
        opened_authority(folder, right.name, right.certificate, desk.secrets()),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    ["", "module = 1", 'module = "/x"\ntoken = "a"\nkey_serial = "b"\nkey_id = "zz"', 'a = "b"', "= ="],
)
def test_a_malformed_place_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "root.key.toml").write_text(text)
    with pytest.raises(KeyFileError, match="module, token"):
        place_of(tmp_path, "root")


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """SoftHSM with tokens of its own."""
    made = SoftHsm(tmp_path / "hsm")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def pins(*each: str) -> list[str]:
    """A descriptor for each PIN, as words."""
    words = []
    for pin in each:
        reading, writing = os.pipe()
        os.write(writing, pin.encode() + b"\n")
        os.close(writing)
        words += ["--pin-fd", str(reading)]
    return words


def in_tokens(hsm: SoftHsm, root: SoftToken, issuing: SoftToken) -> list[str]:
    """Where the keys are to be."""
    return ["--module", str(hsm.module), "--root-token", root.label, "--issuing-token", issuing.label]


@needs_softhsm
@pytest.mark.parametrize("shared", [True, False], ids=["one token", "two tokens"])
def test_an_authority_in_tokens(desk: Desk, hsm: SoftHsm, shared: bool) -> None:
    root = hsm.make_token("ROOT")
    issuing = root if shared else hsm.make_token("ISSUING", pin="975310")
    each = [root.pin] if shared else [root.pin, issuing.pin]
    done = desk.init(*in_tokens(hsm, root, issuing), *pins(*each))
    assert done.exit_code == 0, done.output
    assert not list(desk.ca.glob("*.key.pem"))
    assert [one["kept"] for one in desk.show()["issuing"]] == [f"token {issuing.label} {issuing.serial}"]
    words = ["--module", str(hsm.module), "--issuing-token", issuing.label]
    done = desk.run("rotate", str(desk.ca), *words, *pins(*each))
    assert done.exit_code == 0, done.output
    folder = read_folder(desk.ca)
    found = []
    for period in folder.issuing:
        secrets = Secrets({}, tuple(int(one) for one in pins(issuing.pin)[1::2]))
        with opened_authority(folder, period.name, period.certificate, secrets) as authority:
            found.append(
                pilot.issue(authority, Role.ARCHIVE, pilot.make_key().public_key(), operator="x", now=desk.clock.at)
            )
    both = load_certificates(desk.ca / ALL)
    assert [judge_among(one, both, folder.root, NOW) for one in found] == [None, None]
    for number, one in enumerate(found):
        pilot.write_certificate(desk.folder / f"{number}.pem", one)
        command = f"openssl verify -x509_strict -attime {int(NOW.timestamp())} -CAfile root.cert.pem -untrusted {ALL}"
        run = subprocess.run([*command.split(), f"../{number}.pem"], cwd=desk.ca, capture_output=True, check=False)
        assert run.returncode == 0, run


@needs_softhsm
def test_a_wrong_pin_is_one_try_and_makes_nothing(desk: Desk, hsm: SoftHsm) -> None:
    token = hsm.make_token("ROOT")
    done = desk.init(*in_tokens(hsm, token, token), *pins("000000"))
    assert done.exit_code == 1
    assert "wrong PIN" in done.output
    assert "000000" not in done.output
    assert not desk.ca.exists()
    missing = desk.init("--module", str(hsm.module), "--root-token", "NONE", *pins(token.pin))
    assert missing.exit_code == 1
    assert "no such token" in missing.output
    assert desk.init("--root-token", "ROOT").exit_code == 2
