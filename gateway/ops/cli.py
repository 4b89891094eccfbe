"""`bianmin ops`: what operations staff ask and do."""

import click

from gateway.ops import approvals, trace


@click.group("ops")
def group() -> None:
    """Look at payments and messages; approve what another person prepared."""


for one in (trace.command, approvals.approve, approvals.reject, approvals.list_plans, approvals.show):
    group.add_command(one)
