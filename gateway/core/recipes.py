"""Posting recipes as data (worked example s2): what each event posts. A leg that comes to 0 is not written.

Letters: A amount, F fee, P paid (< A), H fee on P, K the biller's commission, S the station's share, Q = K - S,
t taken from available, r the rest, T top-up, D counter deposit, w swept, d difference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LEG = re.compile(r"([a-z_]+) ([+-])(?:([A-Za-z])|\(([A-Z+-]+)\))")
_TERM = re.compile(r"([+-]?)([A-Za-z])")


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: account name and its signed terms, e.g. (("A", -1), ("F", -1))."""

    account: str
    terms: tuple[tuple[str, int], ...]

    def value(self, amounts: Mapping[str, int]) -> int:
        """The leg's signed amount in fen."""
        return sum(sign * amounts[letter] for letter, sign in self.terms)


def _read(text: str) -> tuple[Leg, ...]:
    legs = []
    for part in text.split(" · "):
        found = _LEG.fullmatch(part)
        if not found:
            raise ValueError(f"not a leg: {part!r}")
        account, sign, letter, sum_text = found.groups()
        outer = -1 if sign == "-" else 1
        terms = tuple((name, outer * (-1 if s == "-" else 1)) for s, name in _TERM.findall(letter or sum_text))
        legs.append(Leg(account, terms))
    return tuple(legs)


_BOOKED = "biller_payable +A · fee_income +F · commission_receivable -K · commission_accrued +S · commission_income +Q"
_UNBOOKED = (
    "biller_payable -A · fee_income -F · commission_receivable +K · commission_accrued -S · commission_income -Q"
)

RECIPES: Mapping[str, tuple[Leg, ...]] = {
    name: _read(text)
    for name, text in {
        "R01": "available -(A+F) · reserved +(A+F)",  # accept: reserve
        "R02": "reserved -(A+F) · available +(A+F)",  # released: expired unsent, given up
        "R03": "reserved -(A+F) · available +(A+F)",  # released: declined, absent final, ruled unpaid
        "R05": f"reserved -(A+F) · {_BOOKED}",  # success, full
        "R06": "reserved -(A+F) · biller_payable +P · fee_income +H · available +(A-P+F-H)"
        " · commission_receivable -K · commission_accrued +S · commission_income +Q",  # success, partial
        "R07": "reserved -(A+F) · available +(A+F)",  # reversed: nothing was booked
        "R08": f"available -(A+F) · {_BOOKED}",  # failed, then proven paid; the balance suffices
        "R09": f"available -t · station_receivable -r · {_BOOKED}",  # the same, balance spent; t + r = A + F
        "R10": f"available +(A+F) · {_UNBOOKED}",  # cancelled, fee returns
        "R12": "available +A · biller_payable -A · commission_receivable +K · commission_accrued -S"
        " · commission_income -Q",  # cancelled, policy keeps the fee
        "R13": "available +D · counter_cash -D",  # counter deposit
        "R17": "available +T · topup_in_transit -T",  # top-up success
        "R21": "available -w · station_receivable +w",  # sweep of the receivable
        "R41": "available +d · biller_payable -d",  # refund success
    }.items()
}
"""Every recipe this house posts today, by its number in the worked example."""
