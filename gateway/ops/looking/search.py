"""`bianmin ops search TEXT`: payments by whatever somebody has in his hands, and other things by their ids."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.ops.looking.snapshot import look_at
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared
from gateway.ops.tables import show_table, tail

if TYPE_CHECKING:
    from gateway.core.env import Env
    from gateway.ops.looking.fields import Found, Named
    from gateway.store.port import Snapshot

_MAX = 128


@click.command("search")
@click.argument("text")
@click.option("--days", default=92, show_default=True, type=click.IntRange(1, 7320), help="How far back.")
@config_option
@json_option
@pass_shared
@in_loop
async def command(shared: Shared, text: str, days: int, config_file: Path, as_json: bool) -> None:
    """Find payments by gateway, order, partner's or biller's serial, account, station code, terminal trace, trace id
    or idempotency key; archived ones too, newest first, at most 50. And letters, breaks, alarms and plans by id."""
    from contracts.money import Fen
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    wanted = text.strip()
    if not (0 < len(wanted) <= _MAX and wanted.isprintable()):
        raise click.UsageError(f"a text of 1 to {_MAX} printable characters")
    since = (shared.clock.now() - timedelta(days=days)).strftime("%Y%m%d")

    async def look(snapshot: "Snapshot", _env: "Env", _now: int) -> "tuple[list[Found], list[Named]]":
        return await read.search(snapshot, wanted, since), await read.named(snapshot, wanted)

    found, named = await look_at(shared, config_file, look)
    if as_json:
        echo_json(plain([*found, *named]))
        return
    for other in named:
        about = "" if other.gateway_serial is None else f", payment {other.gateway_serial}"
        click.echo(f"{other.what} {other.id} is {other.state}{about}:\n  bianmin {other.look}")
    if named and not found:
        return
    show_table(
        ("payment", "state", "station", "biller", "account", "yuan", "day", "found in"),
        [
            (
                one.gateway_serial,
                one.state,
                one.institution_code,
                one.biller,
                tail(one.biller_account),
                Fen(one.amount_fen).to_yuan(),
                one.account_date,
                ", ".join(name.replace("_", " ") for name in one.matched) + (", archived" if one.archived else ""),
            )
            for one in found
        ],
        none=f"nothing was found within {days} days",
    )
    if len(found) == read.SEARCH_MAX:
        click.echo(f"\nThe newest {len(found)} only; there may be more.")
