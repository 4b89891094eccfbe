"""Certificates, keys and passwords as files: written once, never over another, keys encrypted."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from certs.core.certificates import Certificate
from certs.keys import PrivateKey


def write_certificate(file: Path, *certificates: Certificate) -> None:
    """Write certificates as PEM, leaf first. Raises FileExistsError rather than replace a file."""
    write_new(file, b"".join(one.parsed.public_bytes(Encoding.PEM) for one in certificates), 0o644)


def write_key(file: Path, key: PrivateKey, password: bytes) -> None:
    """Write a private key as encrypted PKCS#8 PEM, mode 0600. Raises FileExistsError rather than replace a file."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    write_new(file, pem, 0o600)


def write_password(file: Path) -> bytes:
    """Make a password of 256 random bits, write it as one line, mode 0600, and return it. Raises FileExistsError."""
    password = secrets.token_urlsafe(32).encode()
    write_new(file, password + b"\n", 0o600)
    return password


def write_new(file: Path, data: bytes, mode: int) -> None:
    """Write and sync a file that must not exist. Raises FileExistsError, OSError."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
