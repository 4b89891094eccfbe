"""`bianmin ops alarms list, seen`: what people must look at, until one of them says that he has."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting
from gateway.ops.looking.snapshot import look_at, zone_of
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared
from gateway.ops.tables import age_text, clock, say_cut, show_table


@click.group("alarms")
def group() -> None:
    """Alarms of the book: list them, look, say that they were seen."""


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Seen ones too.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_all(shared: Shared, everything: bool, config_file: Path, as_json: bool) -> None:
    """Alarms nobody has seen, the oldest first, at most 500."""
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    found = await look_at(
        shared, config_file, lambda snapshot, _env, now: read.alarms(snapshot, now, everything=everything)
    )
    say_cut(len(found), read.SHOWN_MAX)
    if as_json:
        echo_json(plain(found))
        return
    zone = zone_of(shared, config_file)
    show_table(
        ("number", "age", "kind", "payment", "says"),
        [
            (one.alarm_id, age_text(one.age_s * 1000), one.kind, one.gateway_serial or one.biller or "", one.detail)
            for one in found
        ],
        none="no alarm is unseen",
    )
    if found:
        click.echo(f"\nThe oldest is of {clock(found[0].raised_at, zone)}.")


@group.command("seen")
@click.argument("alarm")
@acting
@config_option
@pass_shared
@in_loop
async def seen(shared: Shared, alarm: str, config_file: Path, **who: Any) -> None:
    """Say that ALARM (its number, or a kind: all of that kind until now) was looked at, and what came of it."""
    acted = await act(shared, config_file, who, "alarm.seen", alarm)
    click.echo(f"alarm {alarm}: {acted.state}")
