"""The old key's word for the new one: whoever renews proves that he still holds what is to be renewed."""

import hashlib

from certs.core.certificates import Certificate
from certs.core.signatures import holds

_HEAD = b"bianmin-renewal-v1\n"


def renewal_text(keyid: str, csr: bytes) -> bytes:
    """What the old key signs: the certificate it renews, and the request (DER) for the new key."""
    return _HEAD + f"{keyid}\n{hashlib.sha256(csr).hexdigest()}\n".encode()


def renews(old: Certificate, csr: bytes, signature: bytes) -> bool:
    """Whether the holder of the old certificate's key asked for the certificate of this request (DER)."""
    return holds(old, old.alg, renewal_text(old.keyid, csr), signature)
