"""Amounts on command lines."""

import click


def fen_of(text: str, *, least: int = 1) -> int:
    """Yuan with at most two decimals as fen, `least` or more. Raises UsageError."""
    from contracts.money import Fen

    try:
        amount = Fen.from_yuan(text).value
    except ValueError as wrong:
        raise click.UsageError(f"{wrong}; expected yuan with at most two decimals, such as 100 or 99.50") from wrong
    if amount < least:
        raise click.UsageError(f"not a negative amount: {text}" if least == 0 else f"an amount above 0, not {text}")
    return amount
