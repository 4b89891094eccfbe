"""The pilot CA, judged by openssl, and our signatures, judged by a shell script."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs import pilot
from certs.authority.lists import make_crl
from certs.certificates import Certificate, Role, judge
from certs.core.profile import sign_reply, sign_request
from certs.core.revocation_lists import Reason, Revoked
from certs.keys import PemSigner, PrivateKey
from tests.unit.certs.material import AUTHORITY, BODY, CREATED, KEY, NONCE, NOW, VECTORS, private_key

NAMES = {"operator": "op-1", "institution_code": "46012345", "usb_key_serial": "UK1"}


class Ca:
    """A pilot CA made by us at NOW, in a folder as the verification script wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = pilot.make_root("试点 Pilot", NOW)
        self.issuing = pilot.make_issuing(self.root, NOW)
        pilot.write_certificate(folder / "root.cert.pem", self.root.certificate)
        pilot.write_certificate(folder / "issuing.cert.pem", self.issuing.certificate)
        (folder / "crl-at-signing.pem").write_bytes(make_crl(self.issuing, now=NOW, number=1, after=0))
        shutil.copy(VECTORS / "verify.sh", folder)

    def issue(self, role: Role, key: PrivateKey) -> Certificate:
        """Issue and write ROLE.cert.pem."""
        made = pilot.issue(self.issuing, role, key.public_key(), **NAMES, now=NOW)
        (self.folder / f"{role}.cert.pem").unlink(missing_ok=True)
        pilot.write_certificate(self.folder / f"{role}.cert.pem", made)
        return made

    def openssl_verify(self, leaf: str, at: int = CREATED) -> subprocess.CompletedProcess[str]:
        """What openssl says of the chain and the CRL."""
        command = f"openssl verify -x509_strict -attime {at} -crl_check -CRLfile crl-at-signing.pem"
        command += f" -CAfile root.cert.pem -untrusted issuing.cert.pem {leaf}"
        return subprocess.run(command.split(), cwd=self.folder, capture_output=True, text=True, check=False)


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    """A fresh CA."""
    return Ca(tmp_path)


@pytest.mark.parametrize("role", Role)
def test_every_role_passes_openssl_and_our_rules(ca: Ca, role: Role) -> None:
    made = ca.issue(role, pilot.make_key())
    assert made.role is role
    assert judge(made, ca.issuing.certificate, ca.root.certificate, NOW) is None
    assert (made.operator, made.institution_code, made.usb_key_serial) == ("op-1", "46012345", "UK1")
    strict = ca.openssl_verify(f"{role}.cert.pem")
    assert strict.returncode == 0, strict.stderr
    # The end is exclusive for openssl and for us.
    end = int(made.not_after.timestamp())
    long = make_crl(ca.issuing, now=NOW, number=2, after=1, valid=timedelta(days=9000))
    (ca.folder / "crl-at-signing.pem").write_bytes(long)
    assert ca.openssl_verify(f"{role}.cert.pem", end - 1).returncode == 0
    assert "expired" in ca.openssl_verify(f"{role}.cert.pem", end).stderr


def test_revoked_is_seen_by_openssl(ca: Ca) -> None:
    made = ca.issue(Role.STATION, pilot.make_key())
    revoked = [Revoked(serial=made.serial, at=NOW - timedelta(hours=1), reason=Reason.KEY_COMPROMISE)]
    crl = make_crl(ca.issuing, now=NOW, number=2, after=1, revoked=revoked)
    (ca.folder / "crl-at-signing.pem").write_bytes(crl)
    assert "revoked" in ca.openssl_verify("station.cert.pem").stderr


def test_extensions_are_as_declared(ca: Ca) -> None:
    made = ca.issue(Role.STATION, pilot.make_key())
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", ca.folder / "station.cert.pem"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in [
        "CA:FALSE",
        "Key Usage: critical",
        "Basic Constraints: critical",
        "Subject Key Id",
        "Authority Key Id",
    ]:
        assert word in text
    assert "NIST CURVE: P-256" in text
    assert f"{made.serial:x}" in text.replace(":", "").replace(" ", "").lower()
    assert ca.issuing.certificate.parsed.extensions[2].value != made.parsed.extensions[2].value


def test_serials_are_random_and_positive(ca: Ca) -> None:
    key = pilot.make_key()
    serials = {pilot.issue(ca.issuing, Role.REPLY, key.public_key(), operator="x", now=NOW).serial for _ in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 1 << 160 for serial in serials)
    assert min(serials).bit_length() > 64


@pytest.mark.parametrize("gone", NAMES)
def test_a_station_needs_its_whole_subject(ca: Ca, gone: str) -> None:
    with pytest.raises(ValueError, match=gone):
        pilot.issue(ca.issuing, Role.STATION, pilot.make_key().public_key(), **(NAMES | {gone: ""}), now=NOW)


def test_no_certificate_for_a_key_outside_the_profile(ca: Ca) -> None:
    with pytest.raises(ValueError, match="P-256"):
        pilot.issue(ca.issuing, Role.REPLY, ec.generate_private_key(ec.SECP384R1()).public_key(), operator="x", now=NOW)


def test_key_files(tmp_path: Path) -> None:
    password, key = pilot.write_password(tmp_path / "password"), pilot.make_key()
    pilot.write_key(tmp_path / "key.pem", key, password)
    assert (tmp_path / "key.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("key.pem", "password")} == {0o600}
    assert len(password) >= 43
    command = ["openssl", "pkey", "-in", "key.pem", "-noout", "-passin"]
    assert subprocess.run([*command, "file:password"], cwd=tmp_path, check=False).returncode == 0
    wrong = subprocess.run([*command, "pass:x"], cwd=tmp_path, capture_output=True, check=False)
    assert wrong.returncode != 0
    with pytest.raises(FileExistsError):
        pilot.write_key(tmp_path / "key.pem", key, b"x")
    with pytest.raises(FileExistsError):
        pilot.write_password(tmp_path / "password")


def verdict(folder: Path, *words: str) -> str:
    """What verify.sh prints."""
    run = subprocess.run(["./verify.sh", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert (run.returncode == 0) == run.stdout.startswith("OK"), run
    return run.stdout.strip()


def keep(file: Path, first: str, headers: dict[str, str], *, body: bytes, base: bytes) -> None:
    """Archive one message as the script reads it."""
    lines = [first, *(f"{header}: {value}" for header, value in headers.items()), "", ""]
    file.with_suffix(".head").write_bytes("\r\n".join(lines).encode())
    file.with_suffix(".body").write_bytes(body)
    file.with_suffix(".base").write_bytes(base)


class Recorder:
    """A signer that remembers what it signed."""

    def __init__(self, signer: PemSigner) -> None:
        self.keyid, self.alg, self.certificate_der = signer.keyid, signer.alg, signer.certificate_der
        self._signer, self.base = signer, b""

    def sign(self, data: bytes) -> bytes:
        """Keep and sign."""
        self.base = data
        return self._signer.sign(data)


def archive_request(ca: Ca, name: str, by: Recorder, method: str, target: str) -> str:
    """Sign a request, archive it, give the field its reply covers."""
    body = BODY if method == "POST" else b""
    made = sign_request(
        by,
        method=method,
        authority=AUTHORITY,
        target=target,
        body=body,
        content_type="application/json" if body else "",
        idempotency_key=KEY if body else None,
        created=CREATED,
        expires=CREATED + 60,
        nonce=NONCE,
    )
    keep(ca.folder / name, f"{method} {target} HTTP/1.1", {"Host": AUTHORITY} | made, body=body, base=by.base)
    return made["Signature"].removeprefix("bm=")


@pytest.mark.parametrize("key", [pilot.make_key(), private_key("station_rsa")], ids=["ec", "rsa"])
def test_a_shell_proves_what_we_sign(ca: Ca, key: PrivateKey) -> None:
    by = Recorder(PemSigner(ca.issue(Role.STATION, key), key))
    cert, at = "station.cert.pem", str(CREATED)
    archive_request(ca, "get", by, "GET", "/v1/account")
    archive_request(ca, "list", by, "GET", "/v1/payments?limit=20")
    field = archive_request(ca, "post", by, "POST", "/v1/payments")
    for name in ("get", "list", "post"):
        assert verdict(ca.folder, name, cert, at) == f"OK {name}"

    reply_key = pilot.make_key()
    replying = Recorder(PemSigner(ca.issue(Role.REPLY, reply_key), reply_key))
    for name, status, body in [("reply", 201, BODY), ("empty", 204, b"")]:
        made = sign_reply(
            replying,
            status=status,
            body=body,
            content_type="application/json",
            created=CREATED + 1,
            request_signature_field=field,
        ).headers
        keep(ca.folder / name, f"HTTP/1.1 {status} X", made, body=body, base=replying.base)
        assert verdict(ca.folder, name, "reply.cert.pem", str(CREATED + 1), "post") == f"OK {name}"
    assert verdict(ca.folder, "reply", "reply.cert.pem", str(CREATED + 1), "get").startswith("FAIL")
    assert verdict(ca.folder, "post", "reply.cert.pem", at).startswith("FAIL")
    (ca.folder / "post.body").write_bytes(BODY + b" ")
    assert verdict(ca.folder, "post", cert, at) == "FAIL post: body does not match Content-Digest"


def test_the_script_proves_the_vectors() -> None:
    assert verdict(VECTORS, "post-ec", "station.cert.pem", "1795478400") == "OK post-ec"
    assert verdict(VECTORS, "reply-ec", "gateway.cert.pem", "1795478401", "post-ec") == "OK reply-ec"
