"""`bianmin adapters`: which billers are installed, and what they declare."""

from typing import Any

import click

from contracts.manifest import FlowFacts, Manifest
from gateway.ops.shared import Shared, echo_json, json_option, pass_shared


@click.group("adapters")
def group() -> None:
    """List and show the installed billers' adapters."""


@group.command("list")
@json_option
@pass_shared
def list_adapters(shared: Shared, as_json: bool) -> None:
    """Names, titles and services."""
    manifests = [shared.adapters[name].manifest for name in shared.adapters]
    if as_json:
        echo_json([{"name": m.name, "title": m.title, "services": sorted(m.flows)} for m in manifests])
        return
    for manifest in manifests:
        click.echo(f"{manifest.name}\t{manifest.title}\t{' '.join(sorted(manifest.flows))}")


@group.command("show")
@click.argument("name")
@json_option
@pass_shared
def show(shared: Shared, name: str, as_json: bool) -> None:
    """Everything an adapter declares about its biller."""
    if name not in shared.adapters:
        raise click.UsageError(f"no adapter {name}; installed: {', '.join(shared.adapters) or 'none'}")
    found = plain(shared.adapters[name].manifest)
    if as_json:
        echo_json(found)
        return
    for key, value in found.items():
        if key != "flows":
            click.echo(f"{key}: {value}")
    for service, facts in found["flows"].items():
        click.echo(f"\n{service}")
        for key, value in facts.items():
            click.echo(f"  {key}: {value}")


def plain(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON values: amounts in fen, times as text."""
    return {
        "name": manifest.name,
        "title": manifest.title,
        "can": sorted(str(ability) for ability in manifest.can),
        "concurrency": manifest.concurrency,
        "rate_per_s": manifest.rate_per_s,
        "serial_digits": manifest.serial_digits,
        "file_is_complete": manifest.file_is_complete,
        "source": manifest.source,
        "flows": {service: _facts(facts) for service, facts in sorted(manifest.flows.items())},
    }


def _facts(facts: FlowFacts) -> dict[str, Any]:
    return {
        "title": facts.title,
        "bill_model": str(facts.bill_model),
        "account_pattern": facts.account_pattern,
        "amount_min_fen": facts.amount_min.value,
        "amount_max_fen": facts.amount_max.value,
        "amounts_fen": [amount.value for amount in facts.amounts],
        "params": {param.name: dict(param.choices) or param.pattern for param in facts.params},
        "cut_off_local": facts.cut_off_local.isoformat("minutes"),
        "closed_local": [[a.isoformat("minutes"), b.isoformat("minutes")] for a, b in facts.closed_local],
        "source": facts.source,
    } | {
        name: getattr(facts, name)
        for name in (
            "call_deadline_s ask_after_s result_due_s absent_final_after_s absent_void_after_s query_valid_s"
            " query_min_interval_s settle_lag_days partial repeat_safe can_reverse can_cancel reverse_repeat_safe"
            " cancel_repeat_safe card_meter order_expires"
        ).split()
    }
