"""Query strings and the `Prefer` header: strict where it decides, lenient where it only asks."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import ValidationError, convert

from gateway.http.problems import BadRequest

WAIT_MAX_S = 30
_WAIT = re.compile(r'(?:^|,)[ \t]*wait[ \t]*=[ \t]*"?([0-9]+)"?[ \t]*(?=$|[,;])', re.IGNORECASE)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_NAME_MAX = 32


def read_query(raw: str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    """`a=b&c=1` -> {a: "b", c: 1}; escapes are read, `+` is a plus.

    raw: a query that certs' target rules let pass. allowed: the type of each parameter (text, or whole numbers).
    Raises BadRequest `malformed`, naming the field, for a name that is not allowed or comes twice, and for a value
    that is missing or not of its type.
    """
    found: dict[str, Any] = {}
    if not raw:
        return found
    for part in raw.split("&"):
        name, _, value = part.partition("=")
        if name not in allowed:
            shown = name[:_NAME_MAX] if name.isascii() and name.isidentifier() else None
            raise BadRequest("malformed", "This query parameter is not known here.", shown)
        if name in found:
            raise BadRequest("malformed", "This query parameter comes twice.", name)
        found[name] = _value(name, unquote(value, errors="strict"), allowed[name])
    return found


def _value(name: str, text: str, kind: Any) -> Any:
    # Lax conversion would take 2e1 and 20.0 for numbers too.
    candidates: list[str | int] = [text]
    if _NUMBER.fullmatch(text):
        candidates.append(int(text))
    for candidate in candidates:
        try:
            return convert(candidate, kind)
        except ValidationError:
            continue
    raise BadRequest("malformed", "This query parameter does not have its form.", name)


def read_segments(values: Mapping[str, str], kinds: Mapping[str, Any]) -> None:
    """Raises BadRequest `not-found` where a segment of the path cannot name anything of its kind."""
    for name, kind in kinds.items():
        try:
            convert(values[name], kind)
        except ValidationError:
            raise BadRequest("not-found", "There is no such thing here.") from None


def wait_of(lines: Iterable[str]) -> int | None:
    """Seconds that `Prefer: wait=N` asks for (RFC 7240), at most WAIT_MAX_S; None where it is absent or unreadable.

    lines: values of all Prefer lines. The first `wait` counts.
    """
    for line in lines:
        found = _WAIT.search(line)
        if found is not None:
            digits = found[1].lstrip("0") or "0"
            return WAIT_MAX_S if len(digits) > 2 else min(int(digits), WAIT_MAX_S)
    return None
