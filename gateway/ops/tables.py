"""Tables for people on a terminal of 100 columns, and the masks of what they show (style s8)."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo

import click

WIDTH = 100
_WHOLE = frozenset({"payment", "number", "break", "yuan", "age", "day", "state", "kind", "station"})
"""Columns that are never broken: what people copy, and what they compare."""
_SHOWN = 4
_DIGITS = re.compile(r"\d{5,}")


def mask(account: str) -> str:
    """At most the last four characters of an account; of a short one fewer."""
    shown = min(_SHOWN, len(account) // 2)
    return "*" * (len(account) - shown) + account[len(account) - shown :]


def mask_digits(text: str) -> str:
    """A text of any kind in which whatever may be an account is masked: every run of five digits or more."""
    return _DIGITS.sub(lambda run: mask(run[0]), text)


def escape(text: str) -> str:
    """Printable on any terminal: control, format, private and unassigned characters, and lone halves, as \\uXXXX."""
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def tail(account: str) -> str:
    """The same in little room: what is hidden is not counted."""
    return f"…{mask(account).lstrip('*')}"


def clock(at: str | None, zone: tzinfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """A moment that is RFC 3339 by the bureau's clock; "" where there is none."""
    return "" if at is None else datetime.fromisoformat(at).astimezone(zone).strftime(form)


def age_text(milliseconds: int) -> str:
    """An age in its two largest units: 3d 4h, 5h 02m, 12m 30s, 8s."""
    seconds = max(0, milliseconds) // 1000
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {seconds:02d}s" if minutes else f"{seconds}s"


def show_table(head: Sequence[str], lines: Sequence[Sequence[str]], *, none: str) -> None:
    """A table on stdout, never wider than the terminal or WIDTH; `none`: what is said where there are no lines."""
    if not lines:
        click.echo(none)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in head:
        right = name in ("yuan", "age")
        table.add_column(name, overflow="fold", justify="right" if right else "left", no_wrap=name in _WHOLE)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    console = Console(width=min(WIDTH, Console().width) if Console().is_terminal else WIDTH, soft_wrap=False)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(part.rstrip() for part in captured.get().splitlines()))


def say_cut(shown: int, most: int) -> None:
    """On stderr, for people and scripts alike: that a list may be longer than what is shown."""
    if shown >= most:
        click.echo(f"only the first {shown}: there may be more", err=True)


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """`name: value` lines; an empty value is left out."""
    width = max((len(name) for name, value in pairs if value), default=0)
    for name, value in pairs:
        if value:
            click.echo(f"{name + ':':<{width + 1}} {value}")
