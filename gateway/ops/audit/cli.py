"""`bianmin audit`, `bianmin audit verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import Shared, config_option, in_loop, is_day, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.ops.audit.report import Report

_EVER = ("0000-00-00", "9999-99-99")


class AuditGroup(click.Group):
    """A command with one below it: a stray word is no misspelt command, and may be anything, so it is not repeated."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command below. Raises UsageError for any other word."""
        if args[0] not in self.commands:
            raise click.UsageError("it takes no argument, or the command verify", ctx)
        return super().resolve_command(ctx, args)


@click.group("audit", cls=AuditGroup, invoke_without_command=True)
@config_option
@click.option("--full", is_flag=True, help="Also all that has moved to the archive.")
@json_option
@pass_shared
@click.pass_context
@in_loop
async def command(ctx: click.Context, shared: Shared, config_file: Path, full: bool, as_json: bool) -> None:
    """Check every invariant of the whole book on one snapshot; right while others write. Exit code 1 on a violation."""
    if ctx.invoked_subcommand is not None:
        return
    from gateway.config import build_env
    from gateway.core.audited import KeepAudit
    from gateway.ops.audit import audit
    from gateway.ops.desk import open_desk
    from gateway.store.port import StoreError

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        report = await audit(desk, env, full=full)
        _tell(report, as_json=as_json)
        try:
            await desk.run(KeepAudit(violations=sum(len(check.violations) for check in report.checks)))
        except StoreError as error:
            click.echo(f"the result could not be kept for the metrics: {error}", err=True)
    ctx.exit(0 if report.ok else 1)


@command.command("verify")
@click.option("--from", "first", default=_EVER[0], help="First day, YYYY-MM-DD. Default: the first there is.")
@click.option("--to", "last", default=_EVER[1], help="Last day. Default: the newest.")
@click.option("--signatures", is_flag=True, help="Verify every signature again, not only the days'.")
@config_option
@json_option
@pass_shared
@click.pass_context
@in_loop
async def verify(ctx: click.Context, shared: Shared, config_file: Path, as_json: bool, **given: Any) -> None:
    """Prove whole days of kept records again, the archive's too: any record that was altered, removed, put in or moved
    is named. Exit code 1 where something is wrong."""
    from certs.keys import load_certificate, load_certificates
    from gateway.config import build_env
    from gateway.ops.audit.days import Span, Trust, verify_days
    from gateway.ops.desk import open_desk
    from gateway.ops.whole import WholeBook

    span = Span(**given)
    for day in (span.first, span.last):
        if day not in _EVER and not is_day(day):
            raise click.UsageError("a day is YYYY-MM-DD")
    if span.first > span.last:
        raise click.UsageError("--from is not after --to")
    config = shared.load(config_file)
    trust = Trust(load_certificates(config.keys.issuing_cert_file), load_certificate(config.keys.root_cert_file))
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        report = await desk.snapshot(lambda snapshot: verify_days(WholeBook(snapshot), span, trust))
    _tell(report, as_json=as_json)
    ctx.exit(0 if report.ok else 1)


def _tell(report: "Report", *, as_json: bool) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else report.text())
