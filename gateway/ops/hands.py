"""What `bianmin ops` has beside plans and letters: looking, ruling, authorising, and hands on the flow."""

from collections.abc import Sequence

import click

from gateway.ops import alarms, authorise, breaks, control, doubts, drain, rule, search, station_parts


@click.group("station")
def station() -> None:
    """The same as `bianmin station suspend, resume`."""


station.add_command(station_parts.suspend)
station.add_command(station_parts.resume)

COMMANDS: Sequence[click.Command] = (
    rule.rule,
    authorise.group,
    control.group,
    doubts.group,
    breaks.group,
    alarms.group,
    search.command,
    drain.group,
    station,
)
