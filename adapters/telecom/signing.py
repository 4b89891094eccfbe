"""Flat JSON objects and their signature, the same for requests, replies and notices. Pure.

Source: telecom interface 3.4 s1 (body rules) and s3 (signature).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

REQUEST_LIMIT = 8_192
"""Longest request and notice body in bytes (s1)."""
REPLY_LIMIT = 65_536
"""Longest reply body in bytes (s1)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_REFUSED = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NAMES_KEPT = 1024


class BadObject(ValueError):
    """The bytes or members are not a flat object as s1 demands. The text names the rule, never a value."""


class SignType(StrEnum):
    """Member `signType` (s2): fixed per agent."""

    HMAC = "HMAC-SHA256"
    MD5 = "MD5"


def read_object(raw: bytes, limit: int) -> dict[str, str]:
    """Read one flat JSON object of strings; members whose value is "" are dropped, being the same as absent (s1).

    raw: the whole body, UTF-8 without BOM. limit: most bytes allowed. Names keep the order of the body.
    Raises BadObject for everything else: too long, not JSON, not an object, a value that is no string, a member
    twice (an empty one counts), a name outside the pattern, a control character or lone surrogate in a value.
    """
    if len(raw) > limit:
        raise BadObject("body too long")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadObject("body is not UTF-8") from None
    if not text.lstrip(" \t\r\n").startswith("{"):  # also refuses a BOM, which json.loads would only report by text
        raise BadObject("body is not an object")
    try:
        members = _decode(text)
    except BadObject:
        raise
    except (ValueError, RecursionError):
        raise BadObject("body is not JSON") from None
    if not isinstance(members, dict):
        raise BadObject("body is not an object")
    return {name: value for name, value in members.items() if value}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, str]:
    """Called for every object, inner ones first: an inner one then fails its outer one as a value that is no string."""
    members = dict(pairs)
    if len(members) == len(pairs):
        _check_members(members)
        return members
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            break
        _check_member(name, value)
        seen.add(name)
    raise BadObject("member twice")


_decode = json.JSONDecoder(object_pairs_hook=_unique).decode


def _check_members(members: Mapping[str, object]) -> None:
    """_check_member for all at once; only where that finds something, one by one for its name."""
    try:
        together = "".join(members.values())  # type: ignore[arg-type]
    except TypeError:
        clean = False
    else:
        # Whatever is refused is not printable; the reverse does not hold (a wide space).
        clean = together.isprintable() or not _REFUSED.search(together)
    if not clean or not all(map(_is_name, members)):
        for name, value in members.items():
            _check_member(name, value)


@lru_cache(maxsize=_NAMES_KEPT)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _check_member(name: str, value: object) -> None:
    if not _NAME.fullmatch(name):
        raise BadObject("member name not allowed")
    if not isinstance(value, str):
        raise BadObject("value is not a string")
    if _CONTROL.search(value):
        raise BadObject("control character in a value")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise BadObject("lone surrogate in a value")


def write_object(members: Mapping[str, str]) -> bytes:
    """Render members as a compact JSON object in UTF-8, in their order, those with value "" left out.

    Raises BadObject where the members break a rule of s1: we never send what we would refuse to read.
    """
    _check_members(members)
    return _encode({name: value for name, value in members.items() if value}).encode("utf-8")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def signed_text(members: Mapping[str, str]) -> bytes:
    """The text that is signed (s3): all members but `sign` and empty ones, by name in byte order, `name=value&…`.

    Values go in as decoded, without escaping. Raises UnicodeEncodeError only for members no read_object returned.
    """
    kept = sorted((name, value) for name, value in members.items() if value and name != "sign")
    return "&".join(f"{name}={value}" for name, value in kept).encode("utf-8")


def sign(mode: SignType, secret: str, members: Mapping[str, str]) -> str:
    """Signature of the members (s3): 64 lower-case hex digits (HMAC) or 32 upper-case hex digits (MD5)."""
    text = signed_text(members)
    if mode is SignType.HMAC:
        return hmac.new(secret.encode("utf-8"), text, hashlib.sha256).hexdigest()
    # MD5 is the platform's legacy mode (s3), chosen per agent; it is no choice of ours.
    return hashlib.md5(text + b"&key=" + secret.encode("utf-8"), usedforsecurity=False).hexdigest().upper()


def check(mode: SignType, secret: str, members: Mapping[str, str]) -> bool:
    """Whether member `sign` is the signature of the others: constant time, exact case; False where it is missing."""
    claimed = members.get("sign", "")
    return hmac.compare_digest(claimed.encode("utf-8"), sign(mode, secret, members).encode("ascii"))
