"""`bianmin db upgrade`, `bianmin db check`."""

from pathlib import Path

import click

from gateway.ops.shared import Shared, config_option, echo_json, json_option, pass_shared


@click.group("db")
def group() -> None:
    """Migrations, and equality of the database with the schema."""


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
        migrate(store.url())
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
        differences = compare(store.url())
    if as_json:
        echo_json({"ok": not differences, "differences": differences})
    else:
        click.echo("\n".join(differences) or "equal")
    ctx.exit(1 if differences else 0)
