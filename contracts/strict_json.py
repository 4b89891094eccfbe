"""JSON as we accept it: no doubled member, no NUL, bounded numbers and depth (design s10)."""

import json
import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
INTEGER_DIGITS = 16  # 10**13 fen and a sign fit; anything longer is hostile
MAX_DEPTH = 8
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


class Malformed(ValueError):
    """The text is not what the type asks for. `field` names the place in JSONPath form where it is known."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed("a member occurs twice", f"$.{twice[:64]}")
    return members


def _integer(text: str) -> int:
    if len(text.removeprefix("-")) > INTEGER_DIGITS:
        raise Malformed(f"a number of more than {INTEGER_DIGITS} digits")
    return int(text)


def _no_fraction(text: str) -> Any:
    raise Malformed(f"only whole numbers are allowed, not {text[:32]}")


_SCANNER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_fraction, parse_constant=_no_fraction
)


def scan(raw: bytes) -> Any:
    """Read one JSON document as plain values; raises Malformed for what we refuse at any depth."""
    if b"\\u0000" in raw:
        raise Malformed("U+0000 is not allowed")
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    try:
        return _SCANNER.decode(raw.decode("utf-8"))
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from None


def _depth(raw: bytes) -> int:
    """The nesting. Brackets inside texts do not count: closing ones there would hide as many opening ones later."""
    depth = deepest = 0
    for byte in _TEXT.sub(b"", raw):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def decode(raw: bytes, kind: type[T]) -> T:
    """Read one JSON document as `kind`; raises Malformed for anything else. Linear in the size of the text."""
    return decode_both(raw, kind)[0]


def decode_both(raw: bytes, kind: type[T]) -> tuple[T, Any]:
    """As decode, and the same document as plain values, which the strict reading gives anyway."""
    plain = scan(raw)
    try:
        return msgspec.json.decode(raw, type=kind), plain
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `")
        raise Malformed(detail, place.rstrip("`") or None) from None
    except msgspec.DecodeError as error:
        raise Malformed(f"not JSON: {error}") from None


def canonical(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: what request hashes are made over (worked example s3.1)."""
    return msgspec.json.encode(value, order="sorted")
