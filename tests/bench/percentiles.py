"""Percentiles by nearest rank: always a value that was measured, never one between two."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed. ValueError for none, or out of (0, 100].

    values: in any order. percentile([1, 2, 3, 4], 50) == 2.
    """
    if not values:
        raise ValueError("no values")
    if not 0 < percent <= 100:
        raise ValueError("percent must be above 0 and at most 100")
    ordered = sorted(values)
    # Whole numbers: 0.99 * 100 is 99.00000000000001 in floats, and its ceiling one rank too high.
    rank = -(-len(ordered) * round(percent * 1000) // 100_000)
    return ordered[max(1, rank) - 1]


def harmonic(rates: Sequence[float]) -> float:
    """Work done in turn by steps of these rates: 1 ÷ Σ 1/rate. ValueError for none, or a rate that is not above 0."""
    if not rates or min(rates) <= 0:
        raise ValueError("rates must be above 0")
    return 1 / sum(1 / rate for rate in rates)
