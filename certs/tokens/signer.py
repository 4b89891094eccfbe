"""contracts.signer.Signer over a USB key."""

import secrets
from collections.abc import Callable
from datetime import datetime

from pkcs11.types import Session

from certs.certificates import Certificate
from certs.certified import CertifiedKey
from certs.core.signatures import holds
from certs.tokens.algorithms import ALGORITHMS, TokenAlgorithm
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.key import KeyInToken
from certs.tokens.keys import KeyPlace, choose, find_certificates, find_keys
from certs.tokens.library import TokenSpec
from certs.tokens.opened import ANSWER_WITHIN_S, OpenToken
from certs.tokens.pins import PinSource, PinWarning

_SELF_TEST = b"bianmin token self-test, means nothing: "


class TokenSigner(CertifiedKey):
    """Signs with the key in a token; every signature is verified before it is handed out.

    sign() blocks for as long as the token takes (a USB key: hundreds of ms), in a thread of the module's own: call it
    off the event loop. Safe to call from several threads; they take turns. Unplugged and plugged in again it goes on,
    for the same serial number only, once the PIN was given again. warnings: what the token told of its PIN.
    """

    def __init__(self, token: OpenToken, place: KeyPlace, certificate: Certificate) -> None:
        """Use open(): it finds, checks and tests what is put together here."""
        super().__init__(certificate)
        self._token = token
        self._key = KeyInToken(token, place, certificate.public_key)

    @classmethod
    def open(
        cls,
        spec: TokenSpec,
        pin: PinSource,
        *,
        now: datetime,
        certificate: Certificate | None = None,
        within_s: float = ANSWER_WITHIN_S,
    ) -> "TokenSigner":
        """Find token, key and certificate, log in, and let the key prove that the certificate is its own.

        now: aware. certificate: None for the one in the token. within_s: longest time for one answer of the token.
        Raises TokenFault; then the token is closed again.
        """
        token = OpenToken.open(spec, pin, within_s=within_s)
        try:
            return cls.over(token, key_id=spec.key_id, now=now, certificate=certificate)
        except BaseException:  # boundary: closed here, raised on
            token.close()
            raise

    @classmethod
    def over(
        cls, token: OpenToken, *, key_id: str = "", now: datetime, certificate: Certificate | None = None
    ) -> "TokenSigner":
        """The same over a token that is open already, and stays open where this raises TokenFault."""
        keys, held = token.run(lambda session: (find_keys(session, key_id), find_certificates(session)))
        place, chosen = choose(keys, held, now, certificate)
        algorithm = ALGORITHMS[chosen.alg]
        if place.key_type is not algorithm.key_type:
            raise TokenFault(Trouble.MISMATCH, f"{chosen.alg} and a key of type {place.key_type}")
        token.run(_demand(algorithm))
        signer = cls(token, place, chosen)
        signer._prove()
        return signer

    @property
    def key_serial(self) -> str:
        """The token's serial number."""
        return self._token.key_serial

    @property
    def warnings(self) -> tuple[PinWarning, ...]:
        """What the token told of its PIN when it was opened, the gravest first."""
        return self._token.warnings

    def sign(self, data: bytes) -> bytes:
        """Sign the bytes (not their hash): r‖s of 64 bytes for P-256, PKCS#1 v1.5 for RSA. Raises TokenFault."""
        signature = self._key.sign(data)
        if not holds(self._certificate, self._certificate.alg, data, signature):
            raise TokenFault(Trouble.BAD_SIGNATURE)
        return signature

    def close(self) -> None:
        """Log out. Signing afterwards raises TokenFault CLOSED. Safe to call twice."""
        self._token.close()

    def _prove(self) -> None:
        data = _SELF_TEST + secrets.token_bytes(32)
        if not holds(self._certificate, self._certificate.alg, data, self._key.sign(data)):
            raise TokenFault(Trouble.MISMATCH, "the key's signature does not verify with the certificate")


def _demand(algorithm: TokenAlgorithm) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        if algorithm.mechanism not in session.token.slot.get_mechanisms():
            raise TokenFault(Trouble.MECHANISM_UNSUPPORTED, algorithm.mechanism.name)

    return work
