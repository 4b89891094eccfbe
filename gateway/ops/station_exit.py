"""`bianmin station close, transfer`: a station ends, or another holder takes it over; two people (M12)."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.shared import Shared, config_option, in_loop, pass_shared


@click.command("close")
@click.argument("code")
@acting
@config_option
@pass_shared
@in_loop
async def close(shared: Shared, code: str, config_file: Path, **who: Any) -> None:
    """Prepare that a station closes for good: its certificates are revoked, its balance stays.

    Refused while a payment of it is open: suspend it, and close it when all are decided.
    """
    tell(await act(shared, config_file, who, "station.close", code), "")


@click.command("transfer")
@click.argument("code")
@acting
@config_option
@pass_shared
@in_loop
async def transfer(shared: Shared, code: str, config_file: Path, **who: Any) -> None:
    """Prepare that another holder takes a station over: its certificates are revoked, it is suspended meanwhile."""
    tell(await act(shared, config_file, who, "station.transfer", code), "")
