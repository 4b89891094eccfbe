"""`bianmin ops`: what operations staff ask and do."""

import click

from gateway.ops import approvals, hands, trace
from gateway.ops.letters import cli as letters
from gateway.ops.letters import replay_cli


@click.group("ops")
def group() -> None:
    """Payments, messages, alarms: look, rule, replay; hold the flow; approve what another person prepared."""


for one in (trace.command, approvals.approve, approvals.reject, approvals.list_plans, approvals.show):
    group.add_command(one)
for one in hands.COMMANDS:
    group.add_command(one)
for one in (letters.dead_letters, letters.quarantine, replay_cli.group):
    group.add_command(one)
