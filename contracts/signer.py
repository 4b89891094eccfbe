"""Whoever holds a private key: a PEM file, a PKCS#11 token, later SKF."""

from typing import Protocol


class Signer(Protocol):
    """A certificate and the power to sign with its key.

    keyid: SHA-256 of the DER certificate, 64 lower-case hex digits. alg: `ecdsa-p256-sha256` (r‖s, 64 bytes) or
    `rsa-v1_5-sha256`. certificate_der: the leaf. sign() takes the bytes to be signed (not their hash) and may block
    as long as a token needs (hundreds of ms): call it off the event loop where that matters.
    """

    @property
    def keyid(self) -> str: ...
    @property
    def alg(self) -> str: ...
    @property
    def certificate_der(self) -> bytes: ...
    def sign(self, data: bytes) -> bytes: ...
