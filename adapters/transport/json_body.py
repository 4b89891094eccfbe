"""A partner's JSON body, read strictly into a struct: what is not of its form is no answer. Pure."""

import json
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
_INTEGER_DIGITS = 16
"""10**13 fen fit; a longer number stands for nothing we know."""


class BadBody(ValueError):
    """Not JSON of that form. The text is a slug without any value of the message."""


class _Odd:
    """A number that no member we know may hold: a fraction, NaN, one without end. Unknown members may."""

    def __init__(self, _text: str) -> None:
        pass


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _INTEGER_DIGITS else _Odd(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadBody("member_twice")
    return members


class JsonBody(Generic[T]):
    """Reads bodies of one kind. kind: a msgspec struct; members it does not name are ignored, whatever they hold.

    limit: most bytes. Refused: another charset than UTF-8, a byte order mark, a member twice at any depth, text after
    the document, a whole number written as a fraction, and what the struct's own constraints refuse.
    """

    def __init__(self, kind: type[T], limit: int) -> None:
        self._kind, self._limit = kind, limit
        self._decode = json.JSONDecoder(
            object_pairs_hook=_unique, parse_int=_integer, parse_float=_Odd, parse_constant=_Odd
        ).decode

    def read(self, raw: bytes) -> T:
        """The struct. Raises BadBody, and nothing else, for whatever bytes."""
        if len(raw) > self._limit:
            raise BadBody("too_long")
        try:
            return msgspec.convert(self._decode(raw.decode("utf-8")), self._kind)
        except BadBody:
            raise
        except msgspec.ValidationError as wrong:
            _, _, place = str(wrong).partition(" - at `$.")
            raise BadBody(f"malformed.{place.rstrip('`')}".rstrip(".")) from None
        except (ValueError, RecursionError):
            raise BadBody("unreadable") from None
