"""`bianmin bus init`, `bianmin bus check`: the topics of this installation."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.bus.kafka.topics import Finding
    from gateway.config import Config


@click.group("bus")
def group() -> None:
    """Make the topics of the bus, and check them."""


@group.command("init")
@config_option
@json_option
@pass_shared
@click.pass_context
@in_loop
async def init(ctx: click.Context, shared: Shared, config_file: Path, as_json: bool) -> None:
    """Make the topics of every configured biller that are missing. One that exists is compared, never changed."""
    await _run(ctx, shared.load(config_file), as_json, create=True)


@group.command("check")
@config_option
@json_option
@pass_shared
@click.pass_context
@in_loop
async def check(ctx: click.Context, shared: Shared, config_file: Path, as_json: bool) -> None:
    """Reach the brokers and compare every topic: partitions, replicas, those in sync, settings. Exit code 1: not so."""
    await _run(ctx, shared.load(config_file), as_json, create=False)


async def _run(ctx: click.Context, config: "Config", as_json: bool, *, create: bool) -> None:
    from gateway.bus.kafka.topics import BusRefused, Topics, wanted
    from gateway.config import kafka_config

    kafka = kafka_config(config)
    topics = wanted(kafka, list(config.billers))
    try:
        async with Topics(kafka) as brokers:
            found = await (brokers.create(topics) if create else brokers.compare(topics))
    except BusRefused as why:
        if not as_json:
            raise NotSo(str(why)) from why
        echo_json({"ok": False, "error": str(why), "topics": []})
        ctx.exit(1)
    _tell(ctx, found, as_json)


def _tell(ctx: click.Context, found: "Sequence[Finding]", as_json: bool) -> None:
    """One line per topic; exit code 1 where one is not as it should be."""
    ok = all(each.ok for each in found)
    if as_json:
        topics = [
            {"name": each.name, "ok": each.ok, "state": each.state, "differences": list(each.differences)}
            for each in found
        ]
        echo_json({"ok": ok, "topics": topics})
    else:
        for each in found:
            said = "; ".join(each.differences) or ("created" if each.state == "created" else "ok")
            click.echo(f"{each.name}: {said}")
    ctx.exit(0 if ok else 1)
