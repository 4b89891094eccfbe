"""`bianmin ops authorise`: head office's one-off permissions for over-limit payments and cancels (PAY-03)."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, is_day, json_option, pass_shared


@click.group("authorise")
def group() -> None:
    """One-off permissions: issue, list, revoke; each is used up once."""


@group.command("issue")
@click.option("--kind", type=click.Choice(["over-limit", "cancel"]), required=True)
@click.option("--station", required=True, help="Institution code.")
@click.option("--service", required=True)
@click.option("--account", required=True, help="The customer's number at the biller.")
@click.option("--amount", required=True, help="Yuan, exactly.")
@click.option("--date", "day", required=True, help="The bureau's day it is good on, YYYY-MM-DD.")
@acting
@config_option
@pass_shared
@in_loop
async def issue(shared: Shared, station: str, config_file: Path, **given: Any) -> None:
    """Permit one payment above the tariff's limit, or one cancel where policy asks for head office's word.

    The shop names the number when it cancels; an over-limit payment is recognised by shop, service, account, amount
    and day.
    """
    from gateway.ops.money import fen_of

    if not is_day(given["day"]):
        raise click.UsageError("--date: a day is YYYY-MM-DD")
    fields = {name: given[name] for name in ("kind", "service", "account")}
    fields |= {"amount_fen": str(fen_of(given["amount"])), "date": given["day"]}
    acted = await act(shared, config_file, given, "authorization.issue", station, **fields)
    click.echo(f"authorisation {acted.state} for {station}")


@group.command("revoke")
@click.argument("number")
@acting
@config_option
@pass_shared
@in_loop
async def revoke(shared: Shared, number: str, config_file: Path, **who: Any) -> None:
    """Take back an authorisation that nobody has used."""
    await act(shared, config_file, who, "authorization.revoke", number)
    click.echo(f"authorisation {number} is REVOKED")


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Used, revoked and past ones too.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_all(shared: Shared, everything: bool, config_file: Path, as_json: bool) -> None:
    """Authorisations that may still be used."""
    from zoneinfo import ZoneInfo

    from contracts.money import Fen
    from gateway.config import build_env
    from gateway.core.env import rfc3339
    from gateway.core.rows import Authorization
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk
    from gateway.ops.tables import mask, show_table, tail

    config = shared.load(config_file)
    today = shared.clock.now().astimezone(ZoneInfo(config.bureau.zone)).date().isoformat()
    where = "1 = 1" if everything else "used_by IS NULL AND revoked_by IS NULL AND valid_on >= :today"
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        params = {} if everything else {"today": today}
        found = await rows_of(desk, Authorization, where, params, "valid_on, authorization_id")
    told = [
        {
            "authorization_id": one.authorization_id,
            "kind": one.kind,
            "institution_code": one.institution_code,
            "service": one.service,
            "biller_account": mask(one.biller_account),
            "amount_fen": one.amount_fen,
            "valid_on": one.valid_on,
            "state": "USED" if one.used_by else "REVOKED" if one.revoked_by else "OPEN",
            "used_by": one.used_by,
            "issued_by": one.issued_by,
            "issued_at": rfc3339(one.issued_at),
            "revoked_by": one.revoked_by,
            "reason": one.reason,
        }
        for one in found
    ]
    if as_json:
        echo_json(told)
        return
    show_table(
        ("number", "kind", "station", "service, account", "yuan", "day", "state"),
        [
            (
                one.authorization_id,
                one.kind,
                one.institution_code,
                f"{one.service} {tail(one.biller_account)}",
                Fen(one.amount_fen).to_yuan(),
                one.valid_on,
                str(row["state"]),
            )
            for one, row in zip(found, told, strict=True)
        ],
        none="no authorisation is open",
    )
