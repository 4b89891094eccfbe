"""`bianmin certs bind, activate, freeze, unfreeze, replace, revoke`: the steps of a registered certificate."""

from pathlib import Path
from typing import Any

import click

from certs.core.life import RevokedFor
from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.certs.requests_cli import place, place_fields
from gateway.ops.shared import Shared, config_option, in_loop, pass_shared


@click.command("bind")
@click.argument("keyid")
@place
@acting
@config_option
@pass_shared
@in_loop
async def bind(shared: Shared, keyid: str, config_file: Path, **given: Any) -> None:
    """Prepare a binding: certificate, USB key, station, terminal and operator; of the staff, the person."""
    fields = place_fields(given)
    tell(await act(shared, config_file, given, "certs.bind", keyid, **fields), "")


def _simple(name: str, told: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @click.argument("keyid")
    @acting
    @config_option
    @pass_shared
    @in_loop
    async def command(shared: Shared, keyid: str, config_file: Path, **who: Any) -> None:
        acted = await act(shared, config_file, who, f"certs.{name}", keyid)
        tell(acted, f"certificate {keyid} is {told}")

    return command


activate = _simple("activate", "ACTIVE", "Let a bound certificate speak from now on.")
freeze = _simple("freeze", "FROZEN", "Let it speak no more, at once: a loss, a doubt. One person suffices.")
unfreeze = _simple("unfreeze", "ACTIVE", "Prepare that a frozen certificate may speak again.")


@click.command("replace")
@click.argument("keyid")
@click.argument("by")
@acting
@config_option
@pass_shared
@in_loop
async def replace(shared: Shared, keyid: str, by: str, config_file: Path, **who: Any) -> None:
    """End the certificate KEYID; BY has renewed it and is active."""
    acted = await act(shared, config_file, who, "certs.replace", keyid, by=by)
    tell(acted, f"certificate {keyid} is REPLACED")


@click.command("revoke")
@click.argument("keyid")
@click.option("--code", type=click.Choice([str(one) for one in RevokedFor]), required=True, help="RFC 5280.")
@acting
@config_option
@pass_shared
@in_loop
async def revoke(shared: Shared, keyid: str, code: str, config_file: Path, **who: Any) -> None:
    """End a certificate for good. Publish the list afterwards: certs crl publish."""
    acted = await act(shared, config_file, who, "certs.revoke", keyid, code=code)
    tell(acted, f"certificate {keyid} is REVOKED; publish the list: bianmin certs crl publish")
