"""`bianmin ops`: what operations staff ask and do."""

import click

from gateway.ops import trace


@click.group("ops")
def group() -> None:
    """Look at payments and messages."""


group.add_command(trace.command)
