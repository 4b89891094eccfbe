"""`bianmin certs key`: the stock of USB keys (CERT-01, CERT-04)."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared


@click.group("key")
def key() -> None:
    """USB keys: receive, hand out, return, lost, destroy, list."""


def _simple(name: str, told: str, text: str) -> None:
    @key.command(name, help=text)
    @click.argument("serial")
    @acting
    @config_option
    @pass_shared
    @in_loop
    async def command(shared: Shared, serial: str, config_file: Path, **who: Any) -> None:
        acted = await act(shared, config_file, who, f"key.{name}", serial)
        tell(acted, f"USB key {serial} is {told}")


_simple("receive", "IN_STOCK", "Prepare taking a new or returned key into stock.")


@key.command("hand-out")
@click.argument("serial")
@click.option("--station", default="", help="Institution code; without it a person of the bureau takes it.")
@click.option("--holder", required=True, help="Who takes it.")
@acting
@config_option
@pass_shared
@in_loop
async def hand_out(shared: Shared, serial: str, station: str, holder: str, config_file: Path, **who: Any) -> None:
    """Set a key aside for its holder; it is handed over when another person approves."""
    fields = {"institution_code": station, "holder": holder}
    tell(await act(shared, config_file, who, "key.hand-out", serial, **fields), "")


_simple("return", "RETURNED", "A key came back; certificates in it are frozen.")
_simple("lost", "LOST", "A key is lost; certificates in it are frozen at once.")
_simple("destroy", "DESTROYED", "A key is no more; its certificates must have ended.")


@key.command("list")
@click.option("--state", default="", help="Only those: IN_STOCK, HANDING_OUT, ISSUED, RETURNED, LOST, DESTROYED.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_keys(shared: Shared, state: str, config_file: Path, as_json: bool) -> None:
    """Every USB key: where it is, who has it."""
    from msgspec.structs import asdict

    from gateway.config import build_env
    from gateway.core.env import rfc3339
    from gateway.core.rows import UsbKey
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await rows_of(desk, UsbKey, "(:state = '' OR state = :state)", {"state": state})
    if as_json:
        echo_json([asdict(one) | {"state_at": rfc3339(one.state_at)} for one in found])
    for one in [] if as_json else found:
        who = f"{one.institution_code} {one.holder}".strip()
        click.echo(f"{one.key_serial:<24} {one.state:<12} {rfc3339(one.state_at)[:10]}  {who}".rstrip())
