"""`bianmin ops`: what operations staff ask and do."""

import click

from gateway.ops import approvals, station_parts, trace
from gateway.ops.hands import authorise, biller, drain, rule
from gateway.ops.letters import cli as letters
from gateway.ops.letters import replay_cli
from gateway.ops.looking import alarms, breaks, doubts, search


@click.group("ops")
def group() -> None:
    """Payments, messages, alarms: look, rule, replay; hold the flow; approve what another person prepared."""


@click.group("station")
def station() -> None:
    """The same as `bianmin station suspend, resume`."""


for one in (station_parts.suspend, station_parts.resume):
    station.add_command(one)
for one in (
    *(trace.command, search.command, doubts.group, breaks.group, alarms.group),
    *(letters.dead_letters, letters.quarantine, replay_cli.group),
    *(rule.rule, authorise.group, biller.group, drain.group, station),
    *(approvals.approve, approvals.reject, approvals.list_plans, approvals.show),
):
    group.add_command(one)
