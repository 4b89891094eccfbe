"""A strict DER reader: where one value has two encodings, the second one is refused.

cryptography reads what it does not need leniently (lengths, sets, trailing bits, times inside extensions are somebody
else's business there). A certificate whose bytes can be changed without its signature's owner has two fingerprints,
so ours are read here once more, by code that shares nothing with the builder.
Source: ITU-T X.690 s10, s11; RFC 5280 s4.1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
UTF8_STRING, PRINTABLE_STRING, IA5_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x16, 0x17, 0x18
NUMERIC_STRING, T61_STRING, VISIBLE_STRING = 0x12, 0x14, 0x1A
GENERAL_STRING, UNIVERSAL_STRING, BMP_STRING = 0x1B, 0x1C, 0x1E
SEQUENCE, SET = 0x30, 0x31

SIZE_MAX = 16 * 1024
"""Bytes of one certificate or request; ours are below 1,500."""
DEPTH_MAX = 16

_PRINTABLE = re.compile(rb"[A-Za-z0-9 '()+,\-./:=?]*")
_IA5 = re.compile(rb"[\x20-\x7e]*")
_UTC = re.compile(rb"[0-9]{12}Z")
_GENERALIZED = re.compile(rb"[0-9]{14}Z")
_CONSTRUCTED, _CONTEXT, _HIGH_TAG = 0x20, 0x80, 0x1F
_UNIVERSAL_KNOWN = frozenset(
    (
        BOOLEAN,
        INTEGER,
        BIT_STRING,
        OCTET_STRING,
        NULL,
        OID,
        ENUMERATED,
        UTF8_STRING,
        PRINTABLE_STRING,
        IA5_STRING,
        UTC_TIME,
        GENERALIZED_TIME,
        # In partners' certificates, and in the attributes of requests, which nobody reads.
        NUMERIC_STRING,
        T61_STRING,
        VISIBLE_STRING,
        GENERAL_STRING,
        UNIVERSAL_STRING,
        BMP_STRING,
        SEQUENCE,
        SET,
    )
)


class DerError(ValueError):
    """The bytes are not DER. Its text says what and at which byte."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value. tag: its first byte. raw: all its bytes. value: without tag and length.

    parts: the elements inside, for a constructed one; empty for a primitive one.
    """

    tag: int
    raw: bytes
    value: bytes
    parts: tuple["Element", ...] = ()

    def __getitem__(self, index: int) -> "Element":
        """A part by position. Raises DerError where there is none."""
        try:
            return self.parts[index]
        except IndexError:
            raise DerError(f"tag {self.tag:#04x}: part {index} is missing") from None

    def integer(self) -> int:
        """The value of an INTEGER or ENUMERATED. Raises DerError for another tag."""
        self.expect(INTEGER, ENUMERATED)
        return int.from_bytes(self.value, signed=True)

    def oid(self) -> str:
        """The dotted form of an OBJECT IDENTIFIER. Raises DerError for another tag."""
        self.expect(OID)
        return ".".join(map(str, _arcs(self.value)))

    def bits(self) -> bytes:
        """The bytes of a BIT STRING of whole bytes. Raises DerError for another tag, or unused bits."""
        self.expect(BIT_STRING)
        if self.value[0]:
            raise DerError("a bit string of broken bytes where whole ones belong")
        return self.value[1:]

    def named_bits(self) -> frozenset[int]:
        """The set bits of a list of named bits, 0 first. Raises DerError for another tag, or one that does not end with
        a set bit (X.690 s11.2.2)."""
        self.expect(BIT_STRING)
        bits, unused = self.value[1:], self.value[0]
        if bits and not bits[-1] >> unused & 1:
            raise DerError("a list of named bits that does not end with a set one")
        return frozenset(at for at in range(len(bits) * 8) if bits[at // 8] & 0x80 >> at % 8)

    def expect(self, *tags: int) -> "Element":
        """Itself, if its tag is one of these. Raises DerError."""
        if self.tag not in tags:
            raise DerError(f"tag {self.tag:#04x} where {' or '.join(f'{tag:#04x}' for tag in tags)} belongs")
        return self


def read_der(data: bytes, *, size_max: int = SIZE_MAX) -> Element:
    """Read exactly one element that fills `data`, and everything inside it.

    OCTET STRINGs and BIT STRINGs are not looked into; read_der their value where it is DER again. Linear in len(data).
    Raises DerError: too long, trailing bytes, indefinite or padded length, padded integer or arc, boolean that is not
    00 or FF, unused bits that are set, unordered SET, string outside its alphabet, time that is not in Zulu form with
    seconds, nesting beyond DEPTH_MAX, a tag no certificate has.
    """
    if len(data) > size_max:
        raise DerError(f"{len(data)} bytes, at most {size_max}")
    element, end = _element(data, 0, len(data), 0)
    if end != len(data):
        raise DerError(f"{len(data) - end} bytes after the end")
    return element


def _element(data: bytes, start: int, limit: int, depth: int) -> tuple[Element, int]:
    if depth > DEPTH_MAX:
        raise DerError(f"nested deeper than {DEPTH_MAX}")
    if limit - start < 2:
        raise DerError(f"byte {start}: cut off")
    tag = data[start]
    body, length = _length(data, start + 1, limit)
    end = body + length
    if end > limit:
        raise DerError(f"byte {start}: longer than what holds it")
    parts: tuple[Element, ...] = ()
    if tag & _HIGH_TAG == _HIGH_TAG or (tag < _CONTEXT and tag not in _UNIVERSAL_KNOWN) or tag >= 0xC0:
        raise DerError(f"byte {start}: tag {tag:#04x} has no place in a certificate")
    if tag & _CONSTRUCTED:
        parts = tuple(_inside(data, body, end, depth + 1))
        if tag == SET:
            _check_set(parts, start)
    element = Element(tag, data[start:end], data[body:end], parts)
    _check_value(element, start)
    return element, end


def _inside(data: bytes, start: int, end: int, depth: int) -> Iterator[Element]:
    while start < end:
        element, start = _element(data, start, end, depth)
        yield element


def _length(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Where the value begins, and its length in the only form DER allows."""
    first = data[at]
    if first < 0x80:
        return at + 1, first
    count = first & 0x7F
    octets = data[at + 1 : at + 1 + count]
    if not 1 <= count <= 4 or len(octets) < count or at + 1 + count > limit:
        raise DerError(f"byte {at}: indefinite or endless length")
    length = int.from_bytes(octets)
    if octets[0] == 0 or length < 0x80:
        raise DerError(f"byte {at}: padded length")
    return at + 1 + count, length


def _check_set(parts: tuple[Element, ...], start: int) -> None:
    for before, after in pairwise(parts):
        if before.raw >= after.raw:
            raise DerError(f"byte {start}: a set out of order, or with one member twice")


def _check_value(element: Element, start: int) -> None:
    wrong = _wrong_value(element.tag, element.value)
    if wrong:
        raise DerError(f"byte {start}: {wrong}")


def _wrong_value(tag: int, value: bytes) -> str:
    match tag:
        case 0x01:
            return "" if value in (b"\x00", b"\xff") else "a boolean that is neither 00 nor FF"
        case 0x02 | 0x0A:
            return "" if _is_minimal_integer(value) else "an empty or padded integer"
        case 0x03:
            return "" if _is_bit_string(value) else "a bit string with unused bits that are set"
        case 0x05:
            return "a null with a value" if value else ""
        case 0x06:
            return "" if _is_oid(value) else "a padded or cut off object identifier"
        case 0x0C:
            return "" if _is_utf8(value) else "not UTF-8"
        case 0x13:
            return "" if _PRINTABLE.fullmatch(value) else "not printable"
        case 0x16:
            return "" if _IA5.fullmatch(value) else "not IA5"
        case 0x17:
            return "" if _UTC.fullmatch(value) else "a time not in the form YYMMDDHHMMSSZ"
        case 0x18:
            return "" if _GENERALIZED.fullmatch(value) else "a time not in the form YYYYMMDDHHMMSSZ"
    return ""


def _is_minimal_integer(value: bytes) -> bool:
    if len(value) < 2:
        return len(value) == 1
    return not (value[0] == 0 and value[1] < 0x80) and not (value[0] == 0xFF and value[1] >= 0x80)


def _is_bit_string(value: bytes) -> bool:
    if not value or value[0] > 7 or (len(value) == 1 and value[0]):
        return False
    return value[-1] & ((1 << value[0]) - 1) == 0 if len(value) > 1 else True


def _is_oid(value: bytes) -> bool:
    if not value or value[-1] & 0x80 or value[0] == 0x80:
        return False
    return not any(before < 0x80 and after == 0x80 for before, after in pairwise(value))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _arcs(value: bytes) -> list[int]:
    arcs, arc = [], 0
    for octet in value:
        arc = arc << 7 | octet & 0x7F
        if octet < 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return [first, arcs[0] - 40 * first, *arcs[1:]]
