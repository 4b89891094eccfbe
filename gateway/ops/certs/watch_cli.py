"""`bianmin certs list, expiring`: which certificates there are, and which want renewing (CERT-03)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certs.core.life import Life
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.core.rows import PartnerCertificate, RegisteredCertificate
    from gateway.ops.desk import Desk


@click.command("list")
@click.option("--state", type=click.Choice([str(one) for one in Life]), default=None, help="Only those in it.")
@click.option("--station", default="", help="Only those bound to it now.")
@click.option("--requests", is_flag=True, help="Applications instead of certificates.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_certificates(shared: Shared, config_file: Path, as_json: bool, requests: bool, **given: Any) -> None:
    """Every certificate with state, dates and place; or every application."""
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    given["state"] = given["state"] or ""
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await (_requests(desk, given["state"]) if requests else _certificates(desk, given))
    if as_json:
        echo_json(found)
    for one in [] if as_json else found:
        click.echo("  ".join(str(one[name]) for name in _SHOWN[requests] if one[name]))


_SHOWN = {
    False: ("keyid", "state", "role", "not_after", "institution_code", "terminal_id", "operator_id", "staff_id"),
    True: ("request_id", "state", "profile", "institution_code", "terminal_id", "operator_id", "staff_id", "name"),
}


async def _requests(desk: "Desk", state: str) -> list[dict[str, Any]]:
    from msgspec.structs import asdict

    from gateway.core.env import rfc3339
    from gateway.core.rows import CertificateRequest
    from gateway.ops.certs.book import rows_of

    rows = await rows_of(desk, CertificateRequest, "(:state = '' OR state = :state)", {"state": state})
    hidden = ("csr", "applied_at", "decided_at")
    return [
        {name: value for name, value in asdict(row).items() if name not in hidden}
        | {"applied_at": rfc3339(row.applied_at), "decided_at": rfc3339(row.decided_at) if row.decided_at else None}
        for row in rows
    ]


async def _certificates(desk: "Desk", given: dict[str, str]) -> list[dict[str, Any]]:
    from gateway.core.rows import Binding, RegisteredCertificate
    from gateway.ops.certs.book import rows_of

    wanted = {"state": given["state"]}
    rows = await rows_of(desk, RegisteredCertificate, "(:state = '' OR state = :state)", wanted, "not_after, keyid")
    places = {one.keyid: one for one in await rows_of(desk, Binding, "unbound_at IS NULL")}
    found = []
    for row in rows:
        place = places.get(row.keyid)
        if given["station"] and (place is None or place.institution_code != given["station"]):
            continue
        found.append(about(row, place))
    return found


def about(row: "RegisteredCertificate", place: Any) -> dict[str, Any]:
    """A certificate for people and programs."""
    from gateway.core.env import rfc3339

    return {
        "keyid": row.keyid,
        "state": row.state,
        "role": row.role,
        "serial": row.serial,
        "key_serial": row.key_serial,
        "not_before": rfc3339(row.not_before),
        "not_after": rfc3339(row.not_after),
        "state_at": rfc3339(row.state_at),
        "reason": row.reason,
        "revoked_for": row.revoked_for,
        "renews": row.renews,
        "staff_id": row.staff_id,
        "institution_code": place.institution_code if place else None,
        "terminal_id": place.terminal_id if place else None,
        "operator_id": place.operator_id if place else None,
    }


@click.command("expiring")
@config_option
@json_option
@pass_shared
@click.pass_context
@in_loop
async def expiring(ctx: click.Context, shared: Shared, config_file: Path, as_json: bool) -> None:
    """Live certificates that end within 60, 30 and 7 days and are not renewed; partners' too, whatever their key
    (SM2 as `--use watch`). Exit 1 where one ends within 7."""
    from gateway.config import build_env
    from gateway.core.expiry import ENDING, LEAD_DAYS, PARTNERS_ENDING
    from gateway.core.rows import Binding, PartnerCertificate, RegisteredCertificate
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk
    from gateway.ops.enrol import ms

    config, now = shared.load(config_file), ms(shared.clock.now())
    until = {"until": now + LEAD_DAYS[0] * 86_400_000}
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        rows = await rows_of(desk, RegisteredCertificate, ENDING, until, "not_after, keyid")
        places = {one.keyid: one for one in await rows_of(desk, Binding, "unbound_at IS NULL")}
        others = await rows_of(desk, PartnerCertificate, PARTNERS_ENDING, until, "not_after, keyid")
    found = [about(row, places.get(row.keyid)) | _ending(row.not_after, now) for row in rows]
    found += [_partners(row) | _ending(row.not_after, now) for row in others]
    if as_json:
        echo_json(found)
    for one in [] if as_json else found:
        whose = one["institution_code"] or one["staff_id"] or one.get("biller") or one["role"]
        click.echo(f"{one['within_days']:>2} days  {one['not_after'][:10]}  {one['state']:<7} {whose}  {one['keyid']}")
    ctx.exit(1 if any(one["within_days"] <= LEAD_DAYS[-1] for one in found) else 0)


def _ending(not_after: int, now: int) -> dict[str, int]:
    from gateway.core.expiry import DAY_MS, LEAD_DAYS

    within = min(days for days in LEAD_DAYS if not_after <= now + days * DAY_MS)
    return {"days_left": (not_after - now) // DAY_MS, "within_days": within}


def _partners(row: "PartnerCertificate") -> dict[str, Any]:
    from gateway.core.env import rfc3339

    return {
        "keyid": row.keyid,
        "state": row.state,
        "role": "partner",
        "biller": row.biller,
        "use": row.use,
        "not_before": rfc3339(row.not_before),
        "not_after": rfc3339(row.not_after),
        "institution_code": None,
        "staff_id": None,
    }
