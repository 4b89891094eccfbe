"""`bianmin audit`."""

from pathlib import Path

import click

from gateway.ops.shared import Shared, config_option, in_loop, json_option, pass_shared


@click.command("audit")
@config_option
@click.option("--full", is_flag=True, help="Also all that has moved to the archive.")
@json_option
@pass_shared
@click.pass_context
@in_loop
async def command(ctx: click.Context, shared: Shared, config_file: Path, full: bool, as_json: bool) -> None:
    """Check every invariant of the whole book on one snapshot; right while others write. Exit code 1 on a violation."""
    import msgspec

    from gateway.config import build_env
    from gateway.core.audited import KeepAudit
    from gateway.ops.audit import audit
    from gateway.ops.desk import open_desk
    from gateway.store.port import StoreError

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        report = await audit(desk, env, full=full)
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else report.text())
        try:
            await desk.run(KeepAudit(violations=sum(len(check.violations) for check in report.checks)))
        except StoreError as error:
            click.echo(f"the result could not be kept for the metrics: {error}", err=True)
    ctx.exit(0 if report.ok else 1)
