"""Single members of the platform's messages, read strictly. Pure.

Source: telecom interface 3.4 s1 (amounts, times), s4 (identifiers).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from contracts.money import Fen

BEIJING = timezone(timedelta(hours=8))
"""All times of the platform (s1)."""

ORDER_NO = re.compile(r"[0-9]{20}")
PLAT_NO = re.compile(r"TP[0-9]{22}")
QUERY_NO = re.compile(r"Q[0-9]{23}")
CODE = re.compile(r"[0-9]{4}")
SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,6})\.[0-9]{2}")
_TIME = re.compile(r"[0-9]{14}")
_DATE = re.compile(r"[0-9]{8}")


class BadField(ValueError):
    """A member is missing or not of its form; the text is its name, never its value."""


class Mismatch(Exception):
    """An authentic message contradicts the request; the text is the member's name, never its value."""


def text(members: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    """The member, matching the whole form. Raises BadField."""
    value = members.get(name, "")
    if not form.fullmatch(value):
        raise BadField(name)
    return value


def same(members: Mapping[str, str], name: str, expected: str) -> None:
    """The member must be there (BadField) and equal what was sent, case included (Mismatch)."""
    value = members.get(name, "")
    if not value:
        raise BadField(name)
    if value != expected:
        raise Mismatch(name)


def amount(members: Mapping[str, str], name: str) -> Fen:
    """An amount in yuan with exactly two decimals, no sign (s1). Raises BadField."""
    return yuan(text(members, name, _AMOUNT), name)


def yuan(value: str, name: str) -> Fen:
    """A bare amount text of the same form, for parts of lists. Raises BadField."""
    if not _AMOUNT.fullmatch(value):
        raise BadField(name)
    return Fen.from_yuan(value)


def same_amount(members: Mapping[str, str], name: str, expected: Fen) -> None:
    """As `same`, for an amount."""
    if amount(members, name) != expected:
        raise Mismatch(name)


def moment(members: Mapping[str, str], name: str) -> datetime:
    """A Beijing time of 14 digits that exists. Raises BadField."""
    digits = text(members, name, _TIME)
    parts = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))]
    try:
        return datetime(*parts, tzinfo=BEIJING)  # type: ignore[arg-type,misc]
    except ValueError:
        raise BadField(name) from None


def day(members: Mapping[str, str], name: str) -> str:
    """A date of 8 digits that exists, as YYYY-MM-DD. Raises BadField."""
    digits = text(members, name, _DATE)
    try:
        return datetime(int(digits[:4]), int(digits[4:6]), int(digits[6:]), tzinfo=BEIJING).date().isoformat()
    except ValueError:
        raise BadField(name) from None


def write_moment(at: datetime) -> str:
    """Render an aware time as 14 digits in Beijing time, cut to the second: never later than `at`."""
    return at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S")
