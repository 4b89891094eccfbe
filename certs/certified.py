"""What every key with a certificate says of itself, wherever the key lies."""

from certs.core.certificates import Certificate


class CertifiedKey:
    """The part of contracts.signer.Signer that follows from the certificate."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    @property
    def keyid(self) -> str:
        """SHA-256 of the certificate's DER, 64 lower-case hex digits."""
        return self._certificate.keyid

    @property
    def alg(self) -> str:
        """The algorithm the key implies."""
        return self._certificate.alg

    @property
    def certificate(self) -> Certificate:
        """The parsed leaf certificate."""
        return self._certificate

    @property
    def certificate_der(self) -> bytes:
        """The leaf certificate."""
        return self._certificate.der
