"""The fields of a certificate from its DER, read strictly and without cryptography's parser (RFC 5280 s4.1)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from certs.core.der import (
    BOOLEAN,
    GENERALIZED_TIME,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    UTC_TIME,
    DerError,
    Element,
    read_der,
)

KEY_USAGE = "2.5.29.15"
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UNIQUE_IDS = (0x81, 0x82, 0xA1, 0xA2)


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: dotted OID, criticality, and what its OCTET STRING holds: DER, which is not looked into here."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name: dotted OID, tag of its string, the string's bytes."""

    oid: str
    tag: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A certificate taken apart. version: 1-3. issuer, subject, spki: their own DER. signature: without unused bits.

    tbs: the bytes that are signed. inner_algorithm, outer_algorithm: the two AlgorithmIdentifiers as DER.
    not_before_tag, not_after_tag: UTC_TIME or GENERALIZED_TIME. unique_ids: whether it has the fields of version 2.
    """

    version: int
    serial: int
    inner_algorithm: bytes
    outer_algorithm: bytes
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    not_before_tag: int
    not_after_tag: int
    spki: bytes
    unique_ids: bool
    extensions: tuple[Extension, ...]
    tbs: bytes
    signature: bytes


def read_fields(der: bytes) -> Fields:
    """Take one certificate apart. Raises DerError where its bytes are not DER, or its shape is not a certificate's."""
    whole = read_der(der).expect(SEQUENCE)
    if len(whole.parts) != 3:
        raise DerError(f"a certificate has 3 parts, this has {len(whole.parts)}")
    tbs = whole[0].expect(SEQUENCE)
    parts = list(tbs.parts)
    version = 1
    if parts and parts[0].tag == _VERSION:
        version = parts.pop(0)[0].integer() + 1
        if version == 1:
            raise DerError("version 1 is the default and is not written")
    if len(parts) < 6:
        raise DerError("a field is missing")
    serial, algorithm, issuer, validity, subject, spki = parts[:6]
    unique_ids, extensions = _trailing(parts[6:])
    begin, end = validity.expect(SEQUENCE)[0], validity[1]
    return Fields(
        version=version,
        serial=serial.integer(),
        inner_algorithm=algorithm.expect(SEQUENCE).raw,
        outer_algorithm=whole[1].expect(SEQUENCE).raw,
        issuer=issuer.expect(SEQUENCE).raw,
        subject=subject.expect(SEQUENCE).raw,
        not_before=_time(begin),
        not_after=_time(end),
        not_before_tag=begin.tag,
        not_after_tag=end.tag,
        spki=spki.expect(SEQUENCE).raw,
        unique_ids=unique_ids,
        extensions=extensions,
        tbs=tbs.raw,
        signature=whole[2].bits(),
    )


def read_name(der: bytes) -> tuple[Attribute, ...]:
    """The attributes of a name in order. Raises DerError for a name part that holds more than one."""
    found = []
    for part in read_der(der).expect(SEQUENCE).parts:
        if len(part.expect(SET).parts) != 1 or len(part[0].expect(SEQUENCE).parts) != 2:
            raise DerError("a name part holds more or less than one attribute")
        text = part[0][1]
        if text.parts:
            raise DerError("a name is not text")
        found.append(Attribute(part[0][0].oid(), text.tag, text.value))
    return tuple(found)


def _trailing(parts: list[Element]) -> tuple[bool, tuple[Extension, ...]]:
    extensions: tuple[Extension, ...] = ()
    if parts and parts[-1].tag == _EXTENSIONS:
        held = parts.pop()
        if len(held.parts) != 1 or not held[0].expect(SEQUENCE).parts:
            raise DerError("an empty list of extensions")
        extensions = tuple(_extension(one) for one in held[0].parts)
    if any(part.tag not in _UNIQUE_IDS for part in parts):
        raise DerError("a field no certificate has")
    return bool(parts), extensions


def _extension(element: Element) -> Extension:
    parts = element.expect(SEQUENCE).parts
    critical = len(parts) == 3
    if not 2 <= len(parts) <= 3:
        raise DerError("an extension has 2 or 3 parts")
    if critical and parts[1].expect(BOOLEAN).value != b"\xff":
        raise DerError("criticality FALSE is the default and is not written")
    return Extension(parts[0].expect(OID).oid(), critical, parts[-1].expect(OCTET_STRING).value)


def _time(element: Element) -> datetime:
    text = element.expect(UTC_TIME, GENERALIZED_TIME).value.decode()
    if element.tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as wrong:
        raise DerError(f"no such time: {text}") from wrong
