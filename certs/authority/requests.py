"""Asking for a certificate: a request signed by the key it is for."""

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.core.certificate_requests import KnownKeys, read_request
from certs.keys import PrivateKey


def build_csr(key: PrivateKey, *, label: str = "") -> bytes:
    """A PKCS#10 request as PEM, checked as the authority will check it. key: of a file, or signing.as_private_key.

    label: a common name by which a person finds the request again; the authority does not read it.
    Raises certificate_requests.RequestRefused where the key is weak, or did not really sign.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)] if label else [])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256()).public_bytes(Encoding.PEM)
    read_request(made, KnownKeys())
    return made
