"""How a token signs, by the profile's algorithm: a registry to which another algorithm is one more entry."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from pkcs11.mechanisms import KeyType, Mechanism

from certs.core.headers import ALG_EC, ALG_RSA

# DigestInfo of SHA-256 (RFC 8017 s9.2 note 1).
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class TokenAlgorithm:
    """prepare: what the token is given for some data. finish: its answer in the profile's form; ValueError if strange.

    The token gets a hash, never the data: not every token knows a mechanism that hashes (SoftHSM has no ECDSA_SHA256).
    """

    key_type: KeyType
    mechanism: Mechanism
    prepare: Callable[[bytes], bytes]
    finish: Callable[[bytes], bytes]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _digest_info(data: bytes) -> bytes:
    return _DIGEST_INFO + _sha256(data)


def _r_and_s(raw: bytes) -> bytes:
    """r‖s of 64 bytes. PKCS#11 says so; some drivers answer DER all the same."""
    if len(raw) == 64:
        return raw
    r, s = decode_dss_signature(raw)
    if r.bit_length() > 256 or s.bit_length() > 256:
        raise ValueError("r or s is too long")
    return r.to_bytes(32) + s.to_bytes(32)


def _whole(raw: bytes) -> bytes:
    return raw


ALGORITHMS: Mapping[str, TokenAlgorithm] = {
    ALG_EC: TokenAlgorithm(KeyType.EC, Mechanism.ECDSA, _sha256, _r_and_s),
    ALG_RSA: TokenAlgorithm(KeyType.RSA, Mechanism.RSA_PKCS, _digest_info, _whole),
}
"""By the name in the signing profile. SM2 has none there and is refused before this is asked."""
