"""The raw request target: what is verified is what is routed (design s6)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

TARGET_MAX = 4096
"""Longest target in characters."""

_PCHAR = r"A-Za-z0-9\-._~!$&'()*+,;=:@"
# Canonical escapes only: upper-case hex, never of an unreserved character, a slash, a backslash or a control character.
_ESCAPE = r"%(?:2[0-9A-C]|3[A-F]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])"
# Possessive repeats keep a refused target at linear cost.
_TARGET = re.compile(rf"(/(?:[{_PCHAR}/]++|{_ESCAPE})*+)(?:\?((?:[{_PCHAR}/?]++|{_ESCAPE})++))?")
# Some servers take "/..;x/" for a dot segment, so parameters of a segment do not hide its dots.
_DOTS = re.compile(r"/\.{1,2}(?:[/;]|\Z)")
_BAD_ESCAPE = re.compile(rf"(?!{_ESCAPE})%")


@dataclass(frozen=True, slots=True)
class Target:
    """One origin-form target. raw: as sent. path: up to the first `?`. query: what follows it, "" if there is none."""

    raw: str
    path: str
    query: str


@dataclass(frozen=True, slots=True)
class BadTarget:
    """Why a target is refused: an English clause, safe to show."""

    reason: str


def read_target(raw: str) -> Target | BadTarget:
    """Read a raw request target, or say why it is refused.

    raw: as on the request line, at most TARGET_MAX characters, ASCII.
    Refused: any form but origin-form; `//` anywhere; `.` and `..` segments; `#`; a trailing `?`; characters outside
    RFC 3986; escapes that are broken, in lower-case hex, of unreserved characters, of `/`, `\\` or control
    characters; escapes that do not make UTF-8 (overlong forms are slashes in disguise). Nothing is decoded or
    repaired: a Target's raw text is the text given. Source: design s6, RFC 3986, libraries s1 (route confusion).
    """
    if len(raw) > TARGET_MAX:
        return BadTarget(f"longer than {TARGET_MAX} characters")
    found = _TARGET.fullmatch(raw)
    if found is None or raw.endswith("?"):
        return BadTarget(_refusal(raw))
    path, query = found.groups("")
    if "//" in raw:
        return BadTarget("holds //")
    if _DOTS.search(path):
        return BadTarget("holds a dot segment")
    if "%" in raw and not _is_utf8(raw):
        return BadTarget("its escapes are not UTF-8")
    return Target(raw, path, query)


def _is_utf8(raw: str) -> bool:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True


def _refusal(raw: str) -> str:
    if not raw.startswith("/"):
        return "not origin-form (/path or /path?query)"
    if "#" in raw:
        return "holds a fragment"
    if raw.endswith("?"):
        return "ends in a bare ?"
    if _BAD_ESCAPE.search(raw):
        return "holds an escape that is broken, forbidden or not in its canonical form"
    return "holds a character outside RFC 3986"
