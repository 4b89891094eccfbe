"""Enrolment: a key made inside the token, its request, and its certificate written back beside it."""

import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate as ParsedCertificate
from pkcs11.constants import Attribute, CertificateType, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType
from pkcs11.types import Session
from pkcs11.util.ec import encode_named_curve_parameters

from certs.authority.requests import build_csr
from certs.authority.signing import as_private_key
from certs.certificates import Certificate
from certs.core.certificate_requests import RequestRefused
from certs.core.signatures import holds
from certs.tokens.faults import TokenFault, Trouble
from certs.tokens.key import KeyInToken, key_at, read_public
from certs.tokens.keys import KeyPlace, attribute, find_certificates, find_keys
from certs.tokens.opened import OpenToken

_USES = MechanismFlag.SIGN | MechanismFlag.VERIFY
_PRIVATE: dict[Attribute, Any] = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.PRIVATE: True,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
_PUBLIC: dict[Attribute, Any] = {Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}


class NewKey(StrEnum):
    """The kinds a token is asked to make."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"


def key_for_request(token: OpenToken, kind: NewKey, label: str, *, another: bool) -> tuple[KeyInToken, bool]:
    """The key to ask a certificate for, and whether it was made now. The token must have been opened writable.

    A key that has no certificate yet is taken again: its request was lost. another: make one beside a key that has.
    Raises TokenFault KEY_EXISTS, SEVERAL_KEYS, and what make_key raises.
    """
    keys, held = token.run(lambda session: (find_keys(session), find_certificates(session)))
    waiting = without_certificate(keys, held)
    if len(waiting) > 1:
        raise TokenFault(Trouble.SEVERAL_KEYS, "without a certificate: " + ", ".join(_hex(one) for one in waiting))
    if waiting:
        return key_at(token, waiting[0]), False
    if keys and not another:
        raise TokenFault(Trouble.KEY_EXISTS, ", ".join(_hex(one) for one in keys))
    return make_key(token, kind, label), True


def without_certificate(keys: Iterable[KeyPlace], held: Iterable[tuple[bytes, bytes]]) -> list[KeyPlace]:
    """The keys beside which no certificate lies."""
    certified = {key_id for key_id, _ in held}
    return [one for one in keys if one.key_id not in certified]


def make_key(token: OpenToken, kind: NewKey, label: str) -> KeyInToken:
    """A fresh key pair made by the token itself: it signs, does nothing else, and never leaves.

    Raises TokenFault: KEY_EXTRACTABLE (the pair is destroyed again), MECHANISM_UNSUPPORTED, WRITE_PROTECTED.
    """
    place = KeyPlace(
        key_id=secrets.token_bytes(16), label=label, key_type=KeyType.EC if kind is NewKey.EC_P256 else KeyType.RSA
    )

    def work(session: Session) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | None:
        public, private = _generate(session, kind, place)
        if attribute(private, Attribute.EXTRACTABLE) is not False or attribute(private, Attribute.SENSITIVE) is False:
            private.destroy()
            public.destroy()
            raise TokenFault(Trouble.KEY_EXTRACTABLE)
        return read_public(public)

    made = token.run(work, repeatable=False)  # a token that comes back in between would hold two keys
    if made is None:
        raise TokenFault(Trouble.KEY_UNFIT, "the token tells no public key")
    return KeyInToken(token, place, made)


def _generate(session: Session, kind: NewKey, place: KeyPlace) -> tuple[Any, Any]:
    shared: dict[str, Any] = {
        "id": place.key_id,
        "label": place.label,
        "store": True,
        "capabilities": _USES,
        "private_template": _PRIVATE,
        "public_template": _PUBLIC,
    }
    if kind is NewKey.RSA_2048:
        return session.generate_keypair(KeyType.RSA, 2048, **shared)
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    return session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**shared)


def request_for(key: KeyInToken, label: str) -> bytes:
    """A certificate request (PEM) signed by the key, checked as the authority will check it. Raises TokenFault."""
    try:
        return build_csr(as_private_key(key), label=label)
    except RequestRefused as refused:
        raise TokenFault(Trouble.BAD_SIGNATURE, str(refused)) from refused


def key_of(token: OpenToken, certificate: Certificate) -> KeyInToken:
    """The key in the token that a certificate was issued for, proven by a signature. Raises TokenFault."""
    keys = token.run(find_keys)
    if not keys:
        raise TokenFault(Trouble.NO_KEY)
    for place in keys:
        key = key_at(token, place)
        if key.public_key == certificate.public_key:
            data = b"bianmin token enrolment, means nothing: " + secrets.token_bytes(32)
            if holds(certificate, certificate.alg, data, key.sign(data)):
                return key
    raise TokenFault(Trouble.MISMATCH)


def install(token: OpenToken, certificate: Certificate, key: KeyInToken) -> bool:
    """Write the certificate beside its key and read it back; False where it was there. Open the token writable."""

    def work(session: Session) -> bool:
        if (key.place.key_id, certificate.der) in find_certificates(session):
            return False
        session.create_object(_certificate_object(certificate.parsed, key.place))
        if (key.place.key_id, certificate.der) not in find_certificates(session):
            raise TokenFault(Trouble.DEVICE_ERROR, "the certificate was written but is not to be read back")
        return True

    return token.run(work)


def _certificate_object(parsed: ParsedCertificate, place: KeyPlace) -> dict[Attribute, Any]:
    serial = parsed.serial_number
    body = serial.to_bytes(serial.bit_length() // 8 + 1)
    return {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: False,
        Attribute.ID: place.key_id,
        Attribute.LABEL: place.label,
        Attribute.SUBJECT: parsed.subject.public_bytes(),
        Attribute.ISSUER: parsed.issuer.public_bytes(),
        Attribute.SERIAL_NUMBER: bytes([2, len(body)]) + body,
        Attribute.VALUE: parsed.public_bytes(Encoding.DER),
    }


def _hex(place: KeyPlace) -> str:
    return place.key_id.hex() or "(no CKA_ID)"
