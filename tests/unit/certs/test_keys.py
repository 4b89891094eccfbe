"""Key files: what is loaded, and what an operator is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from certs.core.profile import holds
from certs.keys import KeyFileError, PemSigner, load_certificate, load_password
from certs.pilot import make_key, write_certificate, write_key, write_password
from contracts.signer import Signer
from tests.unit.certs.material import certificate, private_key


@pytest.fixture(params=["station", "station_rsa"])
def files(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with cert.pem, key.pem, password."""
    write_certificate(tmp_path / "cert.pem", certificate(request.param))
    write_key(tmp_path / "key.pem", private_key(request.param), write_password(tmp_path / "password"))
    return tmp_path


def load(folder: Path) -> PemSigner:
    """Load the folder's signer."""
    return PemSigner.load(folder / "cert.pem", folder / "key.pem", folder / "password")


def test_a_loaded_key_signs(files: Path) -> None:
    signer: Signer = load(files)
    leaf = load_certificate(files / "cert.pem")
    assert (signer.keyid, signer.alg, signer.certificate_der) == (leaf.keyid, leaf.alg, leaf.der)
    assert load(files).certificate == leaf
    signature = signer.sign(b"data")
    assert len(signature) == (64 if leaf.alg.startswith("ecdsa") else 256)
    assert holds(leaf, leaf.alg, b"data", signature)
    assert not holds(leaf, leaf.alg, b"date", signature)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _plain(file: Path) -> None:
    file.write_bytes(make_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _other(file: Path) -> None:
    password = load_password(file.with_name("password"))
    file.unlink()
    write_key(file, make_key(), password)


def _ed25519(file: Path) -> None:
    password = load_password(file.with_name("password"))
    key = ed25519.Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)))


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no certificate": ("cert.pem", Path.unlink, "certificate"),
    "junk certificate": ("cert.pem", lambda file: file.write_bytes(b"junk"), "certificate"),
    "no key": ("key.pem", Path.unlink, "encrypted PEM"),
    "junk key": ("key.pem", lambda file: file.write_bytes(b"junk"), "encrypted PEM"),
    "key in the clear": ("key.pem", _plain, "not encrypted"),
    "another key": ("key.pem", _other, "private key of"),
    "another kind of key": ("key.pem", _ed25519, "another kind"),
    "a folder": ("key.pem", _folder, "directory"),
    "no password": ("password", Path.unlink, "one line"),
    "empty password": ("password", lambda file: file.write_bytes(b"\n"), "one line"),
    "two lines": ("password", lambda file: file.write_bytes(b"a\nb\n"), "one line"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_wrong_file_is_named(files: Path, what: str) -> None:
    name, break_it, word = BROKEN[what]
    break_it(files / name)
    with pytest.raises(KeyFileError) as raised:
        load(files)
    assert raised.value.file == files / name
    assert str(files / name) in str(raised.value)
    assert word in str(raised.value)


def test_a_wrong_password_is_not_told(files: Path) -> None:
    (files / "password").write_bytes(b"hunter2\n")
    with pytest.raises(KeyFileError, match="not readable with the password of") as raised:
        load(files)
    assert "hunter2" not in str(raised.value)


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ValueError, match="not the certificate's"):
        PemSigner(certificate("gateway"), private_key("station"))


def test_password_keeps_its_blanks(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b" a b \r\n")
    assert load_password(tmp_path / "password") == b" a b "
