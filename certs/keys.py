"""Private keys in files: the Signer of pilots, demos and the gateway's own reply key."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.certificates import Certificate, CertificateError, parse_certificate
from certs.certified import CertifiedKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CERTIFICATES_MAX = 16
"""Certificates of one file."""
_PEM_END = b"-----END CERTIFICATE-----"
_ECDSA = ec.ECDSA(SHA256())
_PKCS1 = padding.PKCS1v15()
_SHA256 = SHA256()


class KeyFileError(Exception):
    """A certificate, key or password file is not usable. Its text names file and expected form, no secret."""

    def __init__(self, file: Path, expected: str, cause: str) -> None:
        super().__init__(f"{file}: expected {expected}; {cause}")
        self.file = file
        self.expected = expected


class PemSigner(CertifiedKey):
    """contracts.signer.Signer over a private key in memory: about 35 µs a P-256 signature, some 600 µs RSA-2048.

    Raises ValueError if the key is not the certificate's or is outside the profile.
    """

    def __init__(self, certificate: Certificate, key: PrivateKey) -> None:
        if not certificate.alg:
            raise ValueError("the certificate's key must be P-256 or RSA of 2048-4096 bits")
        if key.public_key() != certificate.public_key:
            raise ValueError("the key is not the certificate's")
        super().__init__(certificate)
        self._key = key

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path, password_file: Path) -> "PemSigner":
        """From a PEM certificate, an encrypted PEM key, and a file whose first and only line is the password.

        Raises KeyFileError naming the file that is wrong and its expected form.
        """
        certificate = load_certificate(certificate_file)
        key = load_private_key(key_file, load_password(password_file), told=f"of {password_file}")
        try:
            return cls(certificate, key)
        except ValueError as wrong:
            raise KeyFileError(key_file, f"the private key of {certificate_file}", str(wrong)) from wrong

    def sign(self, data: bytes) -> bytes:
        """Sign the bytes (not their hash): r‖s of 64 bytes for P-256, PKCS#1 v1.5 for RSA."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self._key.sign(data, _ECDSA))
            return r.to_bytes(32) + s.to_bytes(32)
        return self._key.sign(data, _PKCS1, _SHA256)


def load_certificate(file: Path) -> Certificate:
    """Read one certificate from a PEM or DER file. Raises KeyFileError."""
    expected = "one X.509 certificate (PEM or DER)"
    try:
        return parse_certificate(_read(file, expected))
    except CertificateError as wrong:
        raise KeyFileError(file, expected, str(wrong)) from wrong


def load_password(file: Path) -> bytes:
    """Read a password file: one non-empty line, its newline not part of the password. Raises KeyFileError."""
    expected = "one line holding the password"
    lines = _read(file, expected).splitlines()
    if len(lines) != 1 or not lines[0]:
        raise KeyFileError(file, expected, f"found {len(lines)} lines")
    return lines[0]


def load_certificates(file: Path) -> tuple[Certificate, ...]:
    """Read every certificate of a PEM file, in its order: the issuing CAs of several periods. Raises KeyFileError."""
    expected = "one or more X.509 certificates (PEM)"
    blocks = [block + _PEM_END for block in _read(file, expected).split(_PEM_END) if block.strip()]
    if not 1 <= len(blocks) <= CERTIFICATES_MAX:
        raise KeyFileError(file, expected, f"found {len(blocks)}")
    try:
        return tuple(parse_certificate(block) for block in blocks)
    except CertificateError as wrong:
        raise KeyFileError(file, expected, str(wrong)) from wrong


def load_private_key(file: Path, password: bytes, *, told: str = "given") -> PrivateKey:
    """Read an encrypted PEM key. told: where the password came from, for people. Raises KeyFileError."""
    expected = "an encrypted PEM private key (PKCS#8), EC P-256 or RSA"
    data = _read(file, expected)
    try:
        key = load_pem_private_key(data, password)
    except TypeError as wrong:
        raise KeyFileError(file, expected, "the key is not encrypted") from wrong
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise KeyFileError(file, expected, f"not readable with the password {told}") from wrong
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyFileError(file, expected, "the key is of another kind")
    return key


def _read(file: Path, expected: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as wrong:
        raise KeyFileError(file, expected, wrong.strerror or "not readable") from wrong
