"""`bianmin config check`."""

from pathlib import Path

import click

from gateway.ops.shared import Shared, config_option, echo_json, json_option, pass_shared


@click.group("config")
def group() -> None:
    """Check the configuration."""


@group.command("check")
@config_option
@json_option
@pass_shared
def check(shared: Shared, config_file: Path, as_json: bool) -> None:
    """Read the configuration and every file it names; the first error is told with file, key and expected form."""
    from gateway.config import build_env
    from gateway.ops.files import check_files

    config = shared.load(config_file)
    build_env(config, shared.adapters)
    check_files(config)
    found = {"ok": True, "file": str(config.file), "engine": engine_of(config.store), "billers": sorted(config.billers)}
    if as_json:
        echo_json(found)
    else:
        click.echo(f"{config.file}: ok, {found['engine']}, billers: {', '.join(config.billers) or 'none'}")


def engine_of(store: object) -> str:
    """The name of a store section's engine."""
    from gateway.config import SqliteStore

    return "sqlite" if isinstance(store, SqliteStore) else "postgresql"
