"""The keys and certificates in a token: which belong together, and the one that is meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from pkcs11.constants import Attribute, CertificateType, ObjectClass
from pkcs11.exceptions import AttributeSensitive, AttributeTypeInvalid
from pkcs11.mechanisms import KeyType
from pkcs11.types import Session

from certs.certificates import Certificate, CertificateError, parse_certificate
from certs.core.algorithms import KeyKind, key_kind
from certs.tokens.faults import TokenFault, Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """A private key in a token: its CKA_ID and label, None for a kind that the library does not know."""

    key_id: bytes
    label: str
    key_type: KeyType | None


def find_keys(session: Session, key_id: str = "") -> list[KeyPlace]:
    """The private keys that may sign, in the order the token gives. key_id: hex, only this one."""
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if key_id:
        wanted[Attribute.ID] = bytes.fromhex(key_id)
    found = []
    for key in objects(session, wanted):
        if attribute(key, Attribute.SIGN) is not False:
            kind, label = attribute(key, Attribute.KEY_TYPE), attribute(key, Attribute.LABEL)
            found.append(
                KeyPlace(
                    key_id=attribute(key, Attribute.ID) or b"",
                    label=label or "",
                    key_type=kind if isinstance(kind, KeyType) else None,
                )
            )
    return found


def private_key(session: Session, place: KeyPlace) -> Any:
    """The private key of a place, as an object of this session. Raises TokenFault NO_KEY."""
    wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: place.key_id}
    if place.key_type is not None:
        wanted[Attribute.KEY_TYPE] = place.key_type
    keys = objects(session, wanted)
    if len(keys) != 1:
        raise TokenFault(Trouble.SEVERAL_KEYS if keys else Trouble.NO_KEY, f"CKA_ID {place.key_id.hex() or 'empty'}")
    return keys[0]


def find_certificates(session: Session) -> list[tuple[bytes, bytes]]:
    """CKA_ID and DER of every X.509 certificate in a token."""
    wanted: dict[Attribute, Any] = {
        Attribute.CLASS: ObjectClass.CERTIFICATE,
        Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
    }
    found = []
    for one in objects(session, wanted):
        der = attribute(one, Attribute.VALUE)
        if der:
            found.append((attribute(one, Attribute.ID) or b"", bytes(der)))
    return found


def objects(session: Session, wanted: dict[Attribute, Any]) -> list[Any]:
    """What fits, all of it: a search that is left open blocks its session, and may end in another thread."""
    return list(session.get_objects(wanted))


def attribute(found: Any, name: Attribute) -> Any:
    """An attribute of an object, None where the token does not have or tell it."""
    try:
        return found[name]
    except (AttributeTypeInvalid, AttributeSensitive):
        return None


def choose(
    keys: Sequence[KeyPlace], held: Iterable[tuple[bytes, bytes]], now: datetime, given: Certificate | None
) -> tuple[KeyPlace, Certificate]:
    """The one key that is meant, with its certificate. Pure. The pair is not proven yet: let the key sign something.

    held: find_certificates. given: a certificate kept outside the token. now: aware; a certificate out of date is
    passed over if another one is not. Raises TokenFault: NO_KEY, NO_CERTIFICATE, SEVERAL_KEYS, MISMATCH, KEY_UNFIT,
    SM2_UNSUPPORTED, CERTIFICATE_EXPIRED, CERTIFICATE_NOT_YET_VALID.
    """
    if not keys:
        raise TokenFault(Trouble.NO_KEY)
    pairs = [(key, certificate) for key in keys for certificate in _certificates_of(key, keys, held, given)]
    if not pairs:
        raise TokenFault(Trouble.NO_CERTIFICATE)
    current = [pair for pair in pairs if pair[1].not_before <= now < pair[1].not_after]
    if not current:
        raise _out_of_date([certificate for _, certificate in pairs], now)
    if len(current) > 1:
        listed = ", ".join(f"{key.key_id.hex()} {one.keyid[:8]}" for key, one in current)
        raise TokenFault(Trouble.SEVERAL_KEYS, listed)
    key, certificate = current[0]
    if not certificate.alg:
        raise TokenFault(Trouble.KEY_UNFIT)
    return key, certificate


def _certificates_of(
    key: KeyPlace, keys: Sequence[KeyPlace], held: Iterable[tuple[bytes, bytes]], given: Certificate | None
) -> list[Certificate]:
    if given is not None:
        ids = {key_id for key_id, der in held if der == given.der}
        return [given] if key.key_id in ids or (not ids and len(keys) == 1) else []
    ders = list(dict.fromkeys(der for key_id, der in held if key_id == key.key_id))
    return [_read(der) for der in ders]


def _read(der: bytes) -> Certificate:
    try:
        if key_kind(x509.load_der_x509_certificate(der)) is KeyKind.SM2:
            raise TokenFault(Trouble.SM2_UNSUPPORTED)
        return parse_certificate(der)
    except (ValueError, CertificateError) as wrong:
        raise TokenFault(Trouble.NO_CERTIFICATE, f"the one in the token is unreadable: {wrong}") from wrong


def _out_of_date(certificates: Sequence[Certificate], now: datetime) -> TokenFault:
    newest = max(certificates, key=lambda one: one.not_after)
    dates = f"valid {newest.not_before:%Y-%m-%d} to {newest.not_after:%Y-%m-%d}, now {now:%Y-%m-%d}"
    early = now < newest.not_before
    return TokenFault(Trouble.CERTIFICATE_NOT_YET_VALID if early else Trouble.CERTIFICATE_EXPIRED, dates)
