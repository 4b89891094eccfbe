"""A key that signs without ever being seen: a token's, or a file's, behind one small port.

cryptography's builders want a private key object. It takes a subclass of its abstract classes whose sign() asks
somebody else, so certificates, lists and requests are built by the library, and no ASN.1 of ours is on the way out.
What comes out is verified before it is let go (certs/authority/issuing.py).
"""

from typing import Never, Protocol, Self

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

from certs.core.certificates import PublicKey, implied_alg
from certs.keys import PrivateKey


class SigningKey(Protocol):
    """The private key of an authority, or of somebody who asks for a certificate.

    public_key: P-256, or RSA of 2048-4096 bits. sign() takes the bytes to be signed (not their hash), signs over
    SHA-256 and answers as contracts.signer.Signer does: r‖s of 64 bytes, or PKCS#1 v1.5. It may block for as long as
    a token needs, and raises whatever its token raises: nothing is then issued.
    """

    @property
    def public_key(self) -> PublicKey: ...
    def sign(self, data: bytes) -> bytes: ...


class KeyStaysInside(TypeError):
    """Somebody asked a key that cannot leave its token for its private half, or for something other than signing."""

    def __init__(self) -> None:
        super().__init__("this key signs over SHA-256 and does nothing else")


def as_private_key(key: SigningKey) -> PrivateKey:
    """What cryptography's builders take for a private key, with the real one behind it.

    Raises ValueError for a public key outside the profile.
    """
    public = key.public_key
    if not implied_alg(public):
        raise ValueError("the key must be P-256 or RSA of 2048-4096 bits")
    return _EcKey(key, public) if isinstance(public, ec.EllipticCurvePublicKey) else _RsaKey(key, public)


class _Inside:
    """What no key that stays inside its token does."""

    def private_numbers(self) -> Never:
        raise KeyStaysInside

    def private_bytes(self, *form: object, **forms: object) -> Never:
        raise KeyStaysInside

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class _EcKey(_Inside, ec.EllipticCurvePrivateKey):
    """A P-256 key elsewhere."""

    def __init__(self, key: SigningKey, public: ec.EllipticCurvePublicKey) -> None:
        self._key, self._public = key, public

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # type: ignore[override]  # cryptography also takes buffers; its builders pass bytes
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(signature_algorithm.algorithm, SHA256):
            raise KeyStaysInside
        raw = self._key.sign(bytes(data))
        if len(raw) != 64:
            raise ValueError(f"a P-256 key answered {len(raw)} bytes, not r and s of 32 each")
        return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> Never:
        raise KeyStaysInside


class _RsaKey(_Inside, rsa.RSAPrivateKey):
    """An RSA key elsewhere."""

    def __init__(self, key: SigningKey, public: rsa.RSAPublicKey) -> None:
        self._key, self._public = key, public

    def sign(self, data: bytes, padding: AsymmetricPadding, algorithm: Prehashed | HashAlgorithm) -> bytes:  # type: ignore[override]  # cryptography also takes buffers; its builders pass bytes
        if not _is_pkcs1(padding) or not isinstance(algorithm, SHA256):
            raise KeyStaysInside
        return self._key.sign(bytes(data))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> Never:
        raise KeyStaysInside


def _is_pkcs1(scheme: AsymmetricPadding) -> bool:
    return isinstance(scheme, padding.PKCS1v15)
