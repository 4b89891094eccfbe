"""`bianmin db upgrade`, `check`, `restored`, `archive`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.config import PostgresStore, SqliteStore


@click.group("db")
def group() -> None:
    """Migrations, equality of the database with the schema, restored copies, the archive."""


def _primary(store: "SqliteStore | PostgresStore") -> tuple[str, Any]:
    """URL and TLS of the one server that migrations go to; of several, that on the highest timeline."""
    from gateway.config import SqliteStore

    if isinstance(store, SqliteStore):
        return store.url(), None
    config = store.connection()
    if len(config.hosts + config.standby_hosts) > 1:
        import asyncio

        from gateway.store.postgres.connection import find_primary

        config = asyncio.run(find_primary(config))
    return config.url(), config.ssl


@group.command("upgrade")
@config_option
@pass_shared
def upgrade(shared: Shared, config_file: Path) -> None:
    """Bring the database to the newest version; nothing happens where it has it."""
    from gateway.ops.desk import reachable
    from gateway.store.migrations.upgrade import upgrade as migrate
    from gateway.store.version import HEAD

    store = shared.load(config_file).store
    with reachable(store):
        migrate(*_primary(store))
    click.echo(f"database at version {HEAD}")


@group.command("check")
@config_option
@json_option
@pass_shared
@click.pass_context
def check(ctx: click.Context, shared: Shared, config_file: Path, as_json: bool) -> None:
    """Compare the database with the schema; exit code 1 where they differ."""
    from gateway.ops.desk import reachable
    from gateway.store.migrations.check import check as compare

    store = shared.load(config_file).store
    with reachable(store):
        differences = compare(*_primary(store))
    if as_json:
        echo_json({"ok": not differences, "differences": differences})
    else:
        click.echo("\n".join(differences) or "equal")
    ctx.exit(1 if differences else 0)


@group.command("restored")
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_shared
@in_loop
async def restored(shared: Shared, config_file: Path, yes: bool) -> None:
    """After a restore from a copy, or a promotion without synchronous replication: what was open becomes unknown.

    Run it before anything is served. It may be run again, also after it was interrupted.
    """
    from gateway.config import build_env
    from gateway.ops.restored import make_safe

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    if not yes:
        click.confirm("This book is a restored copy: put everything it had under way in doubt?", abort=True)
    turned = await make_safe(config, env)
    click.echo(f"{turned} orders are in doubt now and will be asked about")
    click.echo("requests signed until a minute from now are refused; partners' numbers were passed over")
    click.echo("payments made after the copy are in no book of ours: only the partners' day files will show them")


@group.command("archive")
@config_option
@click.option("--before", "month", required=True, metavar="YYYY-MM", help="Months before this one leave the book.")
@click.option("--dry-run", is_flag=True, help="Say what would move; move nothing.")
@json_option
@pass_shared
@in_loop
async def archive(shared: Shared, config_file: Path, month: str, dry_run: bool, as_json: bool) -> None:
    """Move closed months into the archive; keys stay, and evidence and `audit --full` read the archive as the book.

    Runs beside live traffic in small commits; after an interruption the next run goes on.
    """
    from gateway.config import build_env
    from gateway.ops import archive as archiving
    from gateway.ops.desk import open_desk

    try:
        before = archiving.first_of(month)
    except ValueError:
        raise click.UsageError("--before is a month, YYYY-MM") from None
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await (archiving.count if dry_run else archiving.archive)(desk, before)
    if as_json:
        moved = {"payments": found.payments, "rows": found.rows, "records": found.records, "messages": found.messages}
        echo_json({"before": before, "dry_run": dry_run, **moved, "stayed": dict(found.stayed)})
        return
    verb = "would move" if dry_run else "moved"
    click.echo(f"{found.payments} payments with {found.rows} rows of theirs {verb}")
    if not dry_run:
        click.echo(f"{found.records} other records and {found.messages} messages {verb}")
    for reason, number in sorted(found.stayed.items()):
        click.echo(f"{number} stay: {reason}")
