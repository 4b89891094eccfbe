"""A private key in an open token, with or without a certificate: what an authority or an applicant signs with."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.types import Session

from certs.certificates import PublicKey, implied_alg
from certs.tokens.algorithms import ALGORITHMS
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.keys import KeyPlace, attribute, find_keys, objects, private_key
from certs.tokens.opened import OpenToken

_POINT_BYTES = 65


class KeyInToken:
    """Signs and, since the key's object dies with its session, finds itself again. certs.authority's SigningKey."""

    def __init__(self, token: OpenToken, place: KeyPlace, public_key: PublicKey) -> None:
        """public_key: as somebody says, a certificate or the token; only a signature that verifies proves it.

        Raises TokenFault KEY_UNFIT for a key outside the profile.
        """
        alg = implied_alg(public_key)
        if not alg:
            raise TokenFault(Trouble.KEY_UNFIT)
        self._token, self.place, self._public_key = token, place, public_key
        self._algorithm = ALGORITHMS[alg]
        self._found: tuple[Session, Any] | None = None

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Sign data (not its hash) as contracts.signer.Signer does, unproven. Raises TokenFault."""
        algorithm = self._algorithm
        prepared = algorithm.prepare(data)

        def work(session: Session) -> bytes:
            if self._found is None or self._found[0] is not session:
                self._found = (session, private_key(session, self.place))
            return bytes(self._found[1].sign(prepared, mechanism=algorithm.mechanism))

        raw = self._token.run(work)
        try:
            return algorithm.finish(raw)
        except ValueError as wrong:
            raise TokenFault(Trouble.BAD_SIGNATURE, f"{len(raw)} bytes of an unknown form") from wrong


def find_key(token: OpenToken, key_id: str = "") -> KeyInToken:
    """The one key of a token, or that of a CKA_ID (hex), by the public key beside it. For keys without a certificate.

    Raises TokenFault: NO_KEY, SEVERAL_KEYS, KEY_UNFIT.
    """
    keys = token.run(lambda session: find_keys(session, key_id))
    if len(keys) != 1:
        raise TokenFault(Trouble.SEVERAL_KEYS if keys else Trouble.NO_KEY)
    return key_at(token, keys[0])


def key_at(token: OpenToken, place: KeyPlace) -> KeyInToken:
    """The key of a place. Raises TokenFault KEY_UNFIT: another kind, curve or size, or no public half to be seen."""
    public = token.run(lambda session: _public_key(session, place))
    if public is None:
        raise TokenFault(Trouble.KEY_UNFIT, "the token shows no public key of a known kind")
    return KeyInToken(token, place, public)


def _public_key(session: Session, place: KeyPlace) -> PublicKey | None:
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: place.key_id}
    found = [read for one in objects(session, wanted) if (read := read_public(one)) is not None]
    return found[0] if len(found) == 1 else None


def read_public(found: Any) -> PublicKey | None:
    """The public key an object holds; None for other kinds and curves. Raises TokenFault KEY_UNFIT for nonsense."""
    point, modulus = attribute(found, Attribute.EC_POINT), attribute(found, Attribute.MODULUS)
    try:
        if point:
            return _point(bytes(point))
        if modulus:
            exponent = attribute(found, Attribute.PUBLIC_EXPONENT)
            return rsa.RSAPublicNumbers(_whole(exponent), _whole(modulus)).public_key()
    except (TypeError, ValueError) as wrong:
        raise TokenFault(Trouble.KEY_UNFIT, str(wrong)) from wrong
    return None


def _whole(number: Any) -> int:
    """A big integer; the library hands some over as bytes."""
    return int.from_bytes(number) if isinstance(number, bytes) else int(number)


def _point(given: bytes) -> ec.EllipticCurvePublicKey | None:
    """CKA_EC_POINT: an OCTET STRING that holds the point, though some drivers give the bare point."""
    bare = given.removeprefix(bytes([4, _POINT_BYTES])) if len(given) == _POINT_BYTES + 2 else given
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bare) if len(bare) == _POINT_BYTES else None
