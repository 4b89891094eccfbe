"""Throw-away keys for a listener that speaks TLS and asks for certificates."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY_PASSWORD = "client-key"


class Authority:
    """A CA of one test, and what it signed, as PEM files in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder, self._key, self._subject = folder, ec.generate_private_key(ec.SECP256R1()), _name(name)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(self._sign(self._subject, self._key, ca=True)))

    def server(self) -> Path:
        """Key and certificate for 127.0.0.1 in one file, as the broker takes them."""
        key = ec.generate_private_key(ec.SECP256R1())
        file = self.folder / "server.pem"
        file.write_bytes(_key(key) + _pem(self._sign(_name("broker"), key, ca=False)) + self.file.read_bytes())
        return file

    def client(self, name: str = "client") -> tuple[Path, Path]:
        """Certificate, and its encrypted key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem"
        certificate.write_bytes(_pem(self._sign(_name(name), key, ca=False)))
        key_file.write_bytes(_key(key, KEY_PASSWORD))
        return certificate, key_file

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(self._key, hashes.SHA256())
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: ec.EllipticCurvePrivateKey, password: str | None = None) -> bytes:
    sealed: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
