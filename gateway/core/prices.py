"""Fees and commission by dated rules (M9). Rounding is named: `half-up-remainder-post`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from gateway.core.rows import CommissionPlan, Tariff

Dated = TypeVar("Dated", Tariff, CommissionPlan)
PPM = 1_000_000


def in_force(rules: Iterable[Dated], service: str, on: str) -> Dated | None:
    """The newest rule of a service with effective_from ≤ `on` (YYYY-MM-DD); of one date the greatest version."""
    valid = [rule for rule in rules if rule.service == service and rule.effective_from <= on]
    return max(valid, key=lambda rule: (rule.effective_from, rule.version), default=None)


def half_up(numerator: int, denominator: int) -> int:
    """numerator ÷ denominator rounded half up, both ≥ 0 and whole: half_up(5, 10) = 1."""
    if numerator < 0 or denominator <= 0:
        raise ValueError("half_up takes a non-negative numerator and a positive denominator")
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass(frozen=True, slots=True)
class Commission:
    """K of the biller, split into the station's S and the post's Q; S + Q = K always."""

    biller: int
    station: int
    post: int


def commission(paid_fen: int, plan: CommissionPlan) -> Commission:
    """Commission on what the biller booked, split by the plan; the remainder goes to the post."""
    whole = half_up(paid_fen * plan.rate_ppm, PPM)
    station = half_up(whole * plan.station_tenths, 10)
    return Commission(whole, station, whole - station)


def fee_on_partial(fee_fen: int, amount_fen: int, paid_fen: int) -> int:
    """H: the stored fee in proportion to what was paid, half up, never above the fee."""
    return min(fee_fen, half_up(fee_fen * paid_fen, amount_fen))
