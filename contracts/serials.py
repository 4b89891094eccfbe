"""Time-ordered serials: eight digits of date, then 16 Crockford base32 characters (design s7)."""

import re
from datetime import datetime, tzinfo
from functools import lru_cache

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SERIAL_PATTERN = r"^[0-9]{8}[0-9A-HJKMNP-TV-Z]{16}$"
_SERIAL = re.compile(SERIAL_PATTERN)
_MASK_64 = (1 << 64) - 1


_PAIRS = tuple(high + low for high in CROCKFORD for low in CROCKFORD)


def encode_crockford(value: int, length: int) -> str:
    """Render an unsigned integer as exactly `length` Crockford base32 characters; ValueError if it does not fit."""
    if value < 0 or value >> (5 * length):
        raise ValueError("value does not fit")
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(10 * ((length - 1) // 2), -1, -10)]
    return "".join(pairs)[-length:]


def mint_serial(now_ms: int, zone: tzinfo, random_bits: int) -> str:
    """Serial of 24 characters: date of `now_ms` (ms since the epoch) in `zone`, 48-bit ms, 32 random bits.

    random_bits: 0 ≤ n < 2**32. Later milliseconds sort after earlier ones on the same date.
    """
    # The first nine characters are time alone; the tenth holds its last three bits and the first two random ones.
    low = (now_ms & 7) << 32 | random_bits
    return (
        f"{_beginning(now_ms, zone)}{CROCKFORD[low >> 30]}"
        f"{_PAIRS[low >> 20 & 1023]}{_PAIRS[low >> 10 & 1023]}{_PAIRS[low & 1023]}"
    )


@lru_cache(maxsize=64)
def _beginning(now_ms: int, zone: tzinfo) -> str:
    date = datetime.fromtimestamp(now_ms // 1000, zone).strftime("%Y%m%d")
    return date + encode_crockford(now_ms << 32, 16)[:9]


def is_serial(text: str) -> bool:
    """Whether the text has the form of one of our serials."""
    return _SERIAL.match(text) is not None and len(text) == 24


class Serials:
    """Mints every serial one decision needs from a time and one 64-bit entropy value.

    Deterministic: the same now, zone and entropy give the same serials in the same order, so a decision that is
    done again (a lost race) is reproducible. Not a source of secrets.
    """

    def __init__(self, now_ms: int, zone: tzinfo, entropy: int) -> None:
        self._now, self._zone, self._state = now_ms, zone, entropy & _MASK_64

    def bits(self) -> int:
        """The next 32 pseudo-random bits (splitmix64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK_64
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK_64
        return (mixed ^ (mixed >> 31)) >> 32

    def mint(self) -> str:
        """The next serial."""
        return mint_serial(self._now, self._zone, self.bits())
