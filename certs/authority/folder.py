"""The folder of a certificate authority: a root, and the issuing CAs of one or more periods.

`root.cert.pem`, `issuing.cert.pem` (the first period), `issuing-2.cert.pem` …, each with its key beside it
(certs/authority/keyring.py), and `issuing-all.cert.pem`: every issuing CA, newest first, for those who verify.
`bianmin init` writes the same names in an installation's keys/.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.authority.files import write_certificate
from certs.authority.issuing import Authority, make_issuing, make_root
from certs.authority.keyring import TokenPlace, Unlock, made_key, opened_key
from certs.core.certificates import Certificate, stands_as_issuer
from certs.keys import KeyFileError, load_certificate

ALL = "issuing-all.cert.pem"
_ISSUING = re.compile(r"issuing(?:-([1-9][0-9]{0,3}))?\.(?:cert\.pem|key\.pem|key\.toml)")


@dataclass(frozen=True, slots=True)
class Period:
    """One issuing CA. number: from 1. name: of its files."""

    number: int
    name: str
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Folder:
    """What an authority's folder holds. issuing: by number, each under the root."""

    path: Path
    root: Certificate
    issuing: tuple[Period, ...]

    @property
    def organization(self) -> str:
        """The name everywhere."""
        return str(self.root.parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

    def current(self, now: datetime) -> Period | None:
        """The issuing CA that issues now: the newest one that is valid."""
        valid = [one for one in self.issuing if one.certificate.not_before <= now < one.certificate.not_after]
        return valid[-1] if valid else None


def read_folder(path: Path) -> Folder:
    """Read a folder; no key is opened. Raises KeyFileError: a file missing or unreadable, a CA that is not under the
    root by the rules of certificates.judge, no organization."""
    root = load_certificate(path / "root.cert.pem")
    if not root.parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME):
        raise KeyFileError(path / "root.cert.pem", "a root that names its organization", "it names none")
    periods = []
    for number in sorted({_number(file) for file in path.glob("issuing*.cert.pem") if _ISSUING.fullmatch(file.name)}):
        name = name_of(number)
        certificate = load_certificate(path / f"{name}.cert.pem")
        if not stands_as_issuer(certificate, root):
            raise KeyFileError(path / f"{name}.cert.pem", "an issuing CA under root.cert.pem", "it is none")
        periods.append(Period(number, name, certificate))
    if not periods:
        raise KeyFileError(path / "issuing.cert.pem", "an issuing CA", "there is none")
    return Folder(path, root, tuple(periods))


def make_folder(
    path: Path,
    organization: str,
    unlock: Unlock,
    now: datetime,
    *,
    root_place: TokenPlace | None = None,
    issuing_place: TokenPlace | None = None,
) -> Folder:
    """A root and the first issuing CA in a new folder; places: None for encrypted files beside the certificates.

    Nothing of the folder stays where it fails; a key that was made in a token does.
    Raises FileExistsError, IssueRefused, TokenFault, OSError.
    """
    path.mkdir(mode=0o700)
    try:
        with made_key(path, "root", root_place, unlock) as key:
            root = make_root(organization, now, key)
            write_certificate(path / "root.cert.pem", root.certificate)
            _add_issuing(path, root, 1, unlock, place=issuing_place, now=now)
        return read_folder(path)
    except BaseException:  # boundary: the half-made folder goes, the error stays
        shutil.rmtree(path)
        raise


def rotate(folder: Folder, unlock: Unlock, now: datetime, place: TokenPlace | None = None) -> Period:
    """A fresh key and a new issuing CA under the same root: from now on it issues, the others verify to their end.

    Raises KeyFileError (the root's key is another's), IssueRefused (`issuer-ends-soon`: the root's time), TokenFault.
    """
    # A key without a certificate is left of a try that failed; its number is not used again.
    number = 1 + max(_number(file) for file in folder.path.iterdir() if _ISSUING.fullmatch(file.name))
    # One token may hold both keys; a session that only reads would then refuse to make one.
    with opened_authority(folder, "root", folder.root, unlock, writable=place is not None) as root:
        _add_issuing(folder.path, root, number, unlock, place=place, now=now)
    return read_folder(folder.path).issuing[-1]


@contextmanager
def opened_authority(
    folder: Folder, name: str, certificate: Certificate, unlock: Unlock, *, writable: bool = False
) -> Iterator[Authority]:
    """An authority of the folder that can sign, until the block ends. writable: see keyring.opened_key.

    Raises KeyFileError, TokenFault.
    """
    with opened_key(folder.path, name, unlock, writable=writable) as key:
        if key.public_key() != certificate.public_key:
            raise KeyFileError(folder.path / f"{name}.cert.pem", "the certificate of the key beside it", "it is not")
        yield Authority(certificate, key, folder.organization)


def name_of(number: int) -> str:
    """The name of a period's files."""
    return "issuing" if number == 1 else f"issuing-{number}"


def _add_issuing(
    path: Path, root: Authority, number: int, unlock: Unlock, *, place: TokenPlace | None, now: datetime
) -> None:
    name = name_of(number)
    with made_key(path, name, place, unlock) as key:
        issuing = make_issuing(root, now, number=number, key=key)
    write_certificate(path / f"{name}.cert.pem", issuing.certificate)
    _write_all(read_folder(path))


def _write_all(folder: Folder) -> None:
    """Replaced whole, never half: a gateway may read it at any moment."""
    fresh = folder.path / f".{ALL}.new"
    pems = [one.certificate.parsed.public_bytes(Encoding.PEM) for one in reversed(folder.issuing)]
    with fresh.open("wb") as out:
        out.write(b"".join(pems))
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(folder.path / ALL)


def _number(file: Path) -> int:
    found = _ISSUING.fullmatch(file.name)
    assert found is not None
    return int(found[1] or 1)
