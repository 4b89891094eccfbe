"""A partner's certificates: its own CA, keys it signs with, its server and its client; and pinning them in a house."""

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from certs.certificates import Certificate, parse_certificate
from certs.keys import PemSigner

PASSWORD = b"correct horse battery"


@dataclass(frozen=True)
class Held:
    """A certificate and its key."""

    certificate: Certificate
    key: Any

    @property
    def signer(self) -> PemSigner:
        """Signs as this service verifies."""
        return PemSigner(self.certificate, self.key)

    @property
    def base64(self) -> str:
        """Its DER, as deeds carry it."""
        return base64.b64encode(self.certificate.der).decode()

    def write(self, folder: Path, name: str) -> tuple[Path, Path, Path]:
        """Certificate, encrypted key and password as files."""
        files = folder / f"{name}.cert.pem", folder / f"{name}.key.pem", folder / f"{name}.password"
        files[0].write_bytes(self.certificate.parsed.public_bytes(Encoding.PEM))
        files[1].write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))
        )
        files[2].write_bytes(PASSWORD + b"\n")
        return files


class PartnerCa:
    """now: when everything was made."""

    def __init__(self, now: datetime, name: str = "电信", days: int = 3650) -> None:
        self.now, self.name = now, name
        self.authority = self._make(f"{name} CA", None, now - timedelta(days=1), now + timedelta(days=days), ca=True)

    def leaf(
        self, name: str = "sign", *, begins: datetime | None = None, ends: datetime | None = None, host: str = ""
    ) -> Held:
        """One certificate of this CA. host: an address it is a TLS server's at."""
        begin = begins or self.now - timedelta(hours=1)
        return self._make(name, self.authority, begin, ends or begin + timedelta(days=365), host=host)

    def middle(self) -> Held:
        """An authority under this one."""
        return self._make(
            "middle", self.authority, self.now - timedelta(hours=1), self.now + timedelta(days=9), ca=True
        )

    def alone(self, name: str = "self-signed", host: str = "") -> Held:
        """One that signed itself."""
        return self._make(name, None, self.now - timedelta(hours=1), self.now + timedelta(days=365), host=host)

    def crl(self, number: int, *revoked: Certificate, at: datetime | None = None, hours: int = 24) -> bytes:
        """A list, DER."""
        moment = (at or self.now).replace(microsecond=0)
        key = self.authority.key
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.certificate.parsed.subject)
            .last_update(moment - timedelta(minutes=1))
            .next_update(moment + timedelta(hours=hours))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(moment)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, SHA256()).public_bytes(Encoding.DER)

    def _make(
        self, name: str, issuer: "Held | None", begin: datetime, end: datetime, *, ca: bool = False, host: str = ""
    ) -> Held:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = subject if issuer is None else issuer.certificate.parsed.subject
        issuer_key = key if issuer is None else issuer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(_usage(ca), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        made = builder.sign(issuer_key, SHA256())
        return Held(parse_certificate(made.public_bytes(Encoding.DER)), key)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def at_ms(now_ms: int) -> datetime:
    """The same moment, aware."""
    return datetime.fromtimestamp(now_ms / 1000, UTC)
