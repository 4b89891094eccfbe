"""One signature, one certificate: does it hold?"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from certs.core.certificates import Certificate
from certs.core.messages import SignedRequest

_ECDSA = ec.ECDSA(SHA256())
_PKCS1 = padding.PKCS1v15()
_SHA256 = SHA256()


def holds(certificate: Certificate, alg: str, base: bytes, signature: bytes) -> bool:
    """Whether `signature` over `base` is by the certificate's key, under exactly the algorithm that key implies.

    signature: r‖s of 64 bytes with high or low s (half of a token's are high), or PKCS#1 v1.5 as long as the modulus.
    A key outside the profile (other curve, RSA below 2048 or above 4096 bits) has no algorithm and proves nothing.
    Says nothing about chain, role or time. Source: RFC 9421 s3.3, api s1.
    """
    if not certificate.alg or alg != certificate.alg:
        return False
    key = certificate.public_key
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if len(signature) != 64:
                return False
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            key.verify(encode_dss_signature(r, s), base, _ECDSA)
        else:
            key.verify(signature, base, _PKCS1, _SHA256)
    except InvalidSignature:
        return False
    return True


def verify(signed: SignedRequest, certificate: Certificate) -> bool:
    """Whether the certificate named by the request's keyid made its signature. One public-key operation.

    Chain, role, binding, window and nonce are the caller's to check (certificates.judge, check_window, the store).
    """
    return signed.keyid == certificate.keyid and holds(certificate, signed.alg, signed.base, signed.signature)
