"""`bianmin ops approve, reject, list, show`: what one person prepared and another decides (M12)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting
from gateway.ops.certs.shown import in_words
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from datetime import tzinfo

    from gateway.core.env import Env
    from gateway.core.rows import Approval
    from gateway.store.port import Snapshot


@click.command("approve")
@click.argument("plan")
@acting
@config_option
@pass_shared
@in_loop
async def approve(shared: Shared, plan: str, config_file: Path, **who: Any) -> None:
    """Approve the plan with this SHA-256, which another person has prepared; it is done in the same commit.

    Look at it first: ops show PLAN.
    """
    acted = await act(shared, config_file, who, "ops.approve", plan)
    click.echo(f"plan {plan} is {acted.state}")


@click.command("reject")
@click.argument("plan")
@acting
@config_option
@pass_shared
@in_loop
async def reject(shared: Shared, plan: str, config_file: Path, **who: Any) -> None:
    """Reject a plan, or take back one of your own."""
    acted = await act(shared, config_file, who, "ops.reject", plan)
    click.echo(f"plan {plan} is {acted.state}")


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Decided ones too: who approved what, when and why.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_plans(shared: Shared, everything: bool, config_file: Path, as_json: bool) -> None:
    """Plans that wait for a second person."""
    where = "1 = 1" if everything else "state = 'OPEN'"
    found = [_about(row) for row in await _read(shared, config_file, where, {})]
    if as_json:
        echo_json(found)
    for one in [] if as_json else found:
        decided = f"  by {one['decided_by']}: {one['decision']}" if one["decided_by"] else ""
        click.echo(
            f"{one['plan_sha256']}  {one['state']:<8} {one['kind']:<14} {one['subject']}"
            f"  prepared by {one['prepared_by']}: {one['reason']}{decided}"
        )


@click.command("show")
@click.argument("plan")
@click.option(
    "--attachments", metavar="DIR", type=click.Path(path_type=Path), help="Write the files of a ruling into DIR."
)
@config_option
@json_option
@pass_shared
@in_loop
async def show(shared: Shared, plan: str, attachments: Path | None, config_file: Path, as_json: bool) -> None:
    """One plan whole, as it was signed; certificates and requests in words, byte by byte with --json.

    Of a ruling the payment as it stands, and its files; of a replay the totals by verdict.
    """
    from gateway.ops.looking import plans
    from gateway.ops.looking.snapshot import zone_of

    rows = await _read(shared, config_file, "plan_sha256 = :plan", {"plan": plan})
    if not rows:
        raise NotSo(f"there is no plan {plan}")
    if attachments is not None and rows[0].kind != plans.RULE:
        raise NotSo("only a ruling has attachments")
    found = _about(rows[0]) | {"plan": json.loads(rows[0].plan)}
    if as_json:
        echo_json(found)
    else:
        _say(found, zone_of(shared, config_file))
    await _behind(shared, config_file, rows[0], attachments, silent=as_json)


def _say(found: dict[str, Any], zone: "tzinfo") -> None:
    from gateway.ops.tables import clock

    for name in ("prepared_at", "decided_at"):
        found[name] = clock(found[name], zone) if found[name] else None
    for name, value in found.items():
        if not isinstance(value, dict) and value:
            click.echo(f"{name}: {value}")
    for line in in_words(found["plan"]):
        click.echo(line)


async def _behind(
    shared: Shared, config_file: Path, row: "Approval", attachments: Path | None, *, silent: bool
) -> None:
    """What the plan is about, for whoever decides; silent: only the files are written."""
    from gateway.ops.letters.shown import tell, totals_table
    from gateway.ops.looking import doubts, plans, read
    from gateway.ops.looking.snapshot import look_at, zone_of

    async def look(snapshot: "Snapshot", env: "Env", now: int) -> Any:
        if row.kind == plans.REPLAY:
            return [], [], await plans.totals_of(snapshot, row.subject)
        files = await plans.files_of(snapshot, json.loads(row.plan)["fields"])
        return files, await read.doubts(snapshot, env, now, row.subject), []

    if row.kind not in (plans.RULE, plans.REPLAY):
        return
    files, found, totals = await look_at(shared, config_file, look)
    if not silent:
        if totals:
            tell(totals_table(totals, "what it would do, by verdict"))
        for doubt in found:
            doubts.say(doubt, zone_of(shared, config_file))
        for file in files:
            click.echo(f"file: {file.name}, {file.size:,} bytes, SHA-256 {file.sha256}")
    if attachments is not None:
        try:
            written = plans.write_files(files, attachments)
        except (OSError, ValueError) as wrong:
            raise NotSo(str(wrong)) from wrong
        click.echo(f"{len(written)} files in {attachments}", err=silent)


async def _read(shared: Shared, config_file: Path, where: str, params: dict[str, Any]) -> "list[Approval]":
    from gateway.config import build_env
    from gateway.core.rows import Approval
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        return await rows_of(desk, Approval, where, params, "prepared_at, plan_sha256")


def _about(row: "Approval") -> dict[str, Any]:
    from gateway.core.env import rfc3339

    return {
        "plan_sha256": row.plan_sha256,
        "state": row.state,
        "kind": row.kind,
        "subject": row.subject,
        "prepared_by": row.prepared_by,
        "prepared_at": rfc3339(row.prepared_at),
        "reason": row.reason,
        "decided_by": row.decided_by,
        "decided_at": None if row.decided_at is None else rfc3339(row.decided_at),
        "decision": row.decision,
        "keyid": row.keyid,
        "signature": None if row.signature is None else row.signature.hex(),
    }
