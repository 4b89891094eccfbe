"""Certificate requests (PKCS#10, RFC 2986): what counts of one is the key and the proof that it is in the asker's hand.

The name in a request, and the extensions it asks for, are never looked at: the register says who the asker is.
"""

import hashlib
from collections.abc import Collection, Container
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.core.certificates import PublicKey
from certs.core.der import read_der
from certs.core.pem import is_pem, read_pem
from certs.core.weak_keys import weakness

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class RequestRefused(ValueError):
    """A request, or the key in it, gets no certificate. slug: why, for programs; the text: for people."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug, self.detail = slug, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """The keys registered so far, of every role, frozen and revoked ones too: a key is registered once.

    public_keys: SHA-256 of their SubjectPublicKeyInfo, hex. moduli: of the RSA ones.
    """

    public_keys: Container[str] = frozenset()
    moduli: Collection[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A request that holds: the key, and the SHA-256 of its SubjectPublicKeyInfo in hex."""

    public_key: PublicKey = field(repr=False)
    public_key_sha256: str


def read_request(data: bytes, known: KnownKeys) -> KeyRequest:
    """Read one request, PEM (one block, nothing around it) or DER, and check key and proof of possession.

    Raises RequestRefused: `csr-malformed` (not DER, trailing bytes, too long), `csr-key-kind` (neither EC nor RSA),
    `csr-not-signed` (the key did not sign it, or not over SHA-256, -384 or -512), and what check_key refuses.
    """
    try:
        der = read_pem(data, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") if is_pem(data) else data
        read_der(der)
        parsed = x509.load_der_x509_csr(der)
        key = parsed.public_key()
    except (ValueError, TypeError) as wrong:
        raise RequestRefused("csr-malformed", f"not a certificate request: {wrong}") from wrong
    except UnsupportedAlgorithm as wrong:
        raise RequestRefused("csr-key-kind", "its key is neither P-256 nor RSA") from wrong
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise RequestRefused("csr-key-kind", "its key is neither P-256 nor RSA")
    # The key first: a library may not even try to verify under a key this weak.
    digest = check_key(key, known)
    if not _is_signed(parsed):
        raise RequestRefused("csr-not-signed", "the key in the request did not sign it with SHA-256 or longer")
    return KeyRequest(public_key=key, public_key_sha256=digest)


def check_key(key: PublicKey, known: KnownKeys) -> str:
    """The SHA-256 of a key's SubjectPublicKeyInfo, hex, if a certificate may be issued for it.

    Raises RequestRefused: `key-weak-…` with the reason of weak_keys.weakness, `key-known` for one registered already.
    """
    weak = weakness(key, known.moduli)
    if weak is not None:
        raise RequestRefused(f"key-weak-{weak}", "the key does not protect: P-256, or sound RSA of 2048-4096 bits")
    digest = key_digest(key)
    if digest in known.public_keys:
        raise RequestRefused("key-known", "this key has a certificate already; a key is registered once")
    return digest


def key_digest(key: PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in its one canonical form (uncompressed point), lower-case hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _is_signed(parsed: x509.CertificateSigningRequest) -> bool:
    try:
        if not isinstance(parsed.signature_hash_algorithm, _HASHES):
            return False
        scheme = parsed.signature_algorithm_parameters
        return isinstance(scheme, ec.ECDSA | padding.PKCS1v15) and parsed.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
