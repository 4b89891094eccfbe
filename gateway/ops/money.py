"""Amounts on command lines."""

import click


def fen_of(text: str) -> int:
    """Yuan with at most two decimals as fen above 0. Raises UsageError."""
    from contracts.money import Fen

    try:
        amount = Fen.from_yuan(text).value
    except ValueError as wrong:
        raise click.UsageError(f"{wrong}; expected yuan with at most two decimals, such as 100 or 99.50") from wrong
    if amount <= 0:
        raise click.UsageError(f"an amount above 0, not {text}")
    return amount
