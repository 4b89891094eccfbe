"""What every command is given as `ctx.obj`, and the forms they share. Light: nothing is loaded before it is used."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from contracts.biller import Adapter
    from contracts.clock import Clock
    from gateway.config import Config

F = TypeVar("F", bound=Callable[..., Any])
CONFIG = "bianmin.toml"


@dataclass(slots=True)
class Shared:
    """`ctx.obj` of every command: configuration, adapters and clock, each made when first asked for."""

    _adapters: "Mapping[str, Adapter] | None" = field(default=None, init=False)

    @property
    def adapters(self) -> "Mapping[str, Adapter]":
        """The installed adapters; one is imported when it is looked up."""
        if self._adapters is None:
            from gateway.config import find_adapters

            self._adapters = find_adapters()
        return self._adapters

    @property
    def clock(self) -> "Clock":
        """The machine's clock."""
        from gateway.clock import SystemClock

        return SystemClock()

    def load(self, path: Path) -> "Config":
        """Read a configuration. Raises ConfigError."""
        from gateway.config import load_config

        return load_config(path, self.adapters)


pass_shared = click.make_pass_decorator(Shared, ensure=True)


def config_option(command: F) -> F:
    """`--config FILE`, by default bianmin.toml of the working folder."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        default=Path(CONFIG),
        show_default=True,
        help="The configuration.",
    )(command)


def json_option(command: F) -> F:
    """`--json` of every reading command."""
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(command)


def is_day(text: str) -> bool:
    """Whether it is a day of the calendar as YYYY-MM-DD."""
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def echo_json(value: Any) -> None:
    """One JSON document on stdout, Chinese as it is; what moves a terminal stands in it as JSON spells it."""
    from gateway.ops.tables import escape

    click.echo("\n".join(map(escape, json.dumps(value, ensure_ascii=False, indent=2).split("\n"))))


class NotSo(click.ClickException):
    """The thing asked for is refused or not so: one line, exit code 1."""

    exit_code = 1


def in_loop(command: Callable[..., Any]) -> Callable[..., Any]:
    """Run a coroutine function as a command."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        return asyncio.run(command(*args, **kwargs))

    return call
