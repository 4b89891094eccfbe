"""`bianmin ops biller pause, resume, limits, list`: hands on one biller's flow, by a signed deed (ROLE-06)."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.config import Config


@click.group("biller")
def group() -> None:
    """Pause a biller, hold it below its limits; every process obeys within seconds."""


@group.command("pause")
@click.argument("biller")
@click.option("--shop-text", default="", help="What shops are told, in Chinese.")
@click.option("--reopens", default="", help="When, by the bureau's clock: YYYY-MM-DDTHH:MM; told, not done by itself.")
@acting
@config_option
@pass_shared
@in_loop
async def pause(shared: Shared, biller: str, config_file: Path, **given: Any) -> None:
    """Take no new payment of BILLER and send it nothing that moves money; what is in doubt is asked about as ever.

    Shops get 503 biller-closed with the text and the time. What waits unsent expires by its own time and is free again.
    """
    fields = {"shop_text": given["shop_text"], "reopens_at": moment(shared.load(config_file), given["reopens"])}
    acted = await act(shared, config_file, given, "biller.pause", biller, **fields)
    click.echo(f"biller {biller} is {acted.state}")


@group.command("resume")
@click.argument("biller")
@acting
@config_option
@pass_shared
@in_loop
async def resume(shared: Shared, biller: str, config_file: Path, **who: Any) -> None:
    """Let a paused BILLER take payments again."""
    acted = await act(shared, config_file, who, "biller.resume", biller)
    click.echo(f"biller {biller} is {acted.state}")


@group.command("limits")
@click.argument("biller")
@click.option("--concurrency", type=click.IntRange(min=1), help="Calls at once; left out: the manifest's.")
@click.option("--rate", type=click.IntRange(min=1), help="Calls a second; left out: the manifest's.")
@acting
@config_option
@pass_shared
@in_loop
async def limits(
    shared: Shared, biller: str, concurrency: int | None, rate: int | None, config_file: Path, **who: Any
) -> None:
    """Hold BILLER below its manifest's limits, over all processes together; without numbers: back to the manifest's."""
    fields = {"concurrency": str(concurrency or ""), "rate_per_s": str(rate or "")}
    acted = await act(shared, config_file, who, "biller.limits", biller, **fields)
    click.echo(f"biller {biller}: {acted.state}")


@group.command("list")
@config_option
@json_option
@pass_shared
@in_loop
async def list_all(shared: Shared, config_file: Path, as_json: bool) -> None:
    """Every biller with what is set for it, by whom and why."""
    from gateway.config import build_env
    from gateway.core.book import Book
    from gateway.core.controls import limited
    from gateway.core.env import rfc3339
    from gateway.core.rows import BillerControl
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk
    from gateway.ops.looking.snapshot import zone_of
    from gateway.ops.tables import clock, show_table

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        rows = await rows_of(desk, BillerControl)
    book = Book()
    book.load(rows)
    told: list[dict[str, Any]] = []
    for name, manifest in sorted(env.manifests.items()):
        row, now = book.get(BillerControl, name), limited(manifest, book)
        told.append(
            {
                "biller": name,
                "state": row.state if row else "OPEN",
                "concurrency": now.concurrency,
                "concurrency_max": manifest.concurrency,
                "rate_per_s": now.rate_per_s,
                "rate_per_s_max": manifest.rate_per_s,
                "shop_text": row.shop_text if row else None,
                "reopens_at": rfc3339(row.reopens_at) if row and row.reopens_at else None,
                "changed_by": row.changed_by if row else None,
                "changed_at": rfc3339(row.changed_at) if row and row.changed_at else None,
                "reason": row.reason if row else None,
                "limits_by": row.limits_by if row else None,
                "limits_at": rfc3339(row.limits_at) if row and row.limits_at else None,
                "limits_reason": row.limits_reason if row else None,
            }
        )
    if as_json:
        echo_json(told)
        return
    zone = zone_of(shared, config_file)
    show_table(
        ("biller", "state", "reopens", "state by, why", "at once", "a second", "limits by, why"),
        [
            (
                str(one["biller"]),
                str(one["state"]),
                clock(one["reopens_at"], zone),
                _who(one["changed_by"], one["reason"]),
                f"{one['concurrency']} of {one['concurrency_max']}",
                f"{one['rate_per_s']} of {one['rate_per_s_max']}",
                _who(one["limits_by"], one["limits_reason"]),
            )
            for one in told
        ],
        none="no biller is configured",
    )


def _who(by: str | None, why: str | None) -> str:
    return f"{by}: {why}" if by else ""


def moment(config: "Config", text: str) -> str:
    """A moment of the bureau's wall clock in ms, as a deed names it; "" stays "". Raises UsageError."""
    from zoneinfo import ZoneInfo

    if not text:
        return ""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the zone follows
    except ValueError as wrong:
        raise click.UsageError("--reopens: expected YYYY-MM-DDTHH:MM") from wrong
    return str(int(at.replace(tzinfo=ZoneInfo(config.bureau.zone)).timestamp() * 1000))
