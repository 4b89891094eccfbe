"""`bianmin demo`: a business day with real processes, strictly checked. Imports nothing until it runs."""

from typing import Any


def __getattr__(name: str) -> Any:
    """The entry point `gateway.demo:command`, loaded when it is asked for: a child's tether must not pay for it."""
    if name != "command":
        raise AttributeError(name)
    from gateway.demo.cli import command

    return command
