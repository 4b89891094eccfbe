"""`bianmin ops trace SERIAL`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from datetime import tzinfo

    from gateway.core.rows import Payment
    from gateway.ops.life import Moment


@click.command("trace")
@click.argument("serial")
@config_option
@json_option
@pass_shared
@in_loop
async def command(shared: Shared, serial: str, config_file: Path, as_json: bool) -> None:
    """Print one payment's whole life with times: requests, messages, calls, evidence, postings, alarms."""
    from contracts.serials import is_serial
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.evidence.collect import collect
    from gateway.ops.life import life_of, messages_of
    from gateway.store.port import Snapshot

    if not is_serial(serial):
        raise click.UsageError("a gateway serial is eight digits and 16 letters or digits")
    config = shared.load(config_file)
    env = build_env(config, shared.adapters)

    async def read(snapshot: Snapshot) -> "tuple[Payment, list[Moment]] | None":
        bundle = await collect(snapshot, serial)
        if bundle is None:
            return None
        return bundle.payment, life_of(bundle, await messages_of(snapshot, bundle, env.zone))

    async with open_desk(config, env) as desk:
        found = await desk.snapshot(read)
    if found is None:
        raise NotSo(f"there is no payment {serial}")
    payment, moments = found
    if as_json:
        echo_json(_as_json(payment, moments))
        return
    click.echo(f"{serial} {payment.service} {payment.state} trace {payment.trace_id}")
    for line in _lines(moments, env.zone):
        click.echo(line)


def _as_json(payment: "Payment", moments: "Sequence[Moment]") -> dict[str, Any]:
    first = moments[0].at
    return {
        "gateway_serial": payment.gateway_serial,
        "trace_id": payment.trace_id,
        "state": payment.state,
        "moments": [{"at": m.at, "after_ms": m.at - first, "what": m.what, "span": m.span, **m.told} for m in moments],
    }


def _lines(moments: "Sequence[Moment]", zone: "tzinfo") -> list[str]:
    from datetime import datetime

    first, lines = moments[0].at, []
    for moment in moments:
        at = datetime.fromtimestamp(moment.at / 1000, zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        told = " ".join(f"{name}={_shown(name, value, zone)}" for name, value in moment.told.items())
        lines.append(f"{at} {moment.at - first:>+9,} ms  {moment.what:<11} {told}".rstrip())
    return lines


def _shown(name: str, value: Any, zone: "tzinfo") -> str:
    from datetime import datetime

    if name in ("send_before", "send_by", "call_deadline"):
        return datetime.fromtimestamp(value / 1000, zone).strftime("%H:%M:%S.%f")[:-3]
    text = str(value)
    return repr(text) if " " in text else text
