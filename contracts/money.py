"""Money as whole fen (M1)."""

import re
from dataclasses import dataclass

FEN_MAX = 10**13
_YUAN = re.compile(r"(-?)([0-9]{1,11})(?:\.([0-9]{1,2}))?")  # not \d: that also takes full-width digits


@dataclass(frozen=True, order=True, slots=True)
class Fen:
    """An amount of CNY in whole fen (1/100 yuan). Never a float, never a string.

    Raises TypeError for anything but an int (bool included), ValueError beyond ±10**13.
    """

    value: int

    def __post_init__(self) -> None:
        if type(self.value) is not int:
            raise TypeError(f"Fen takes an int, got {type(self.value).__name__}")
        if abs(self.value) > FEN_MAX:
            raise ValueError(f"Fen out of range: {self.value}")

    def __add__(self, other: "Fen") -> "Fen":
        return Fen(self.value + other.value)

    def __sub__(self, other: "Fen") -> "Fen":
        return Fen(self.value - other.value)

    def __neg__(self) -> "Fen":
        return Fen(-self.value)

    @classmethod
    def from_yuan(cls, text: str) -> "Fen":
        """Read a yuan text with at most two decimals: "12.3" -> Fen(1230). The only way in from text.

        Raises ValueError for any other form (signs but a leading minus, separators, blanks, other digits).
        """
        found = _YUAN.fullmatch(text)
        if not found:
            raise ValueError(f"not an amount in yuan: {text[:40]!r}")
        sign, yuan, cents = found.groups()
        value = int(yuan) * 100 + int((cents or "").ljust(2, "0"))
        return cls(-value if sign else value)

    def to_yuan(self) -> str:
        """Render for a biller or a person: Fen(1230) -> "12.30". No division by 100.0."""
        sign, (yuan, cents) = "-" * (self.value < 0), divmod(abs(self.value), 100)
        return f"{sign}{yuan}.{cents:02d}"
