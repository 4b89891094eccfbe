"""`bianmin station suspend, resume, operator, terminal`: deeds about an existing station, signed by who does them."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.shared import Shared, config_option, in_loop, pass_shared


def _state(name: str, told: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @click.argument("code")
    @acting
    @config_option
    @pass_shared
    @in_loop
    async def command(shared: Shared, code: str, config_file: Path, **who: Any) -> None:
        tell(await act(shared, config_file, who, f"station.{name}", code), f"station {code} is {told}")

    return command


suspend = _state("suspend", "SUSPENDED", "Let a station take no new payments; what is open goes on.")
resume = _state("resume", "ACTIVE", "Let a suspended station take payments again.")


@click.group("operator")
def operator() -> None:
    """People of a station: add, close; two people each (M12)."""


@operator.command("add")
@click.argument("code")
@click.argument("operator_id")
@click.option("--name", required=True, help="As his certificate will say it.")
@click.option("--trained-days", default=365, show_default=True, type=click.IntRange(1, 3650))
@acting
@config_option
@pass_shared
@in_loop
async def add_operator(shared: Shared, code: str, operator_id: str, config_file: Path, **given: Any) -> None:
    """Prepare one more operator of station CODE; then apply for his certificate."""
    days = str(given.pop("trained_days"))
    fields = {"operator_id": operator_id, "name": given.pop("name"), "trained_days": days}
    tell(await act(shared, config_file, given, "operator.add", code, **fields), "")


@operator.command("close")
@click.argument("code")
@click.argument("operator_id")
@acting
@config_option
@pass_shared
@in_loop
async def close_operator(shared: Shared, code: str, operator_id: str, config_file: Path, **who: Any) -> None:
    """Prepare that an operator works there no more; his certificate is revoked before."""
    tell(await act(shared, config_file, who, "operator.close", code, operator_id=operator_id), "")


@click.group("terminal")
def terminal() -> None:
    """Devices of a station: add, close; two people each (M12)."""


@terminal.command("add")
@click.argument("code")
@click.argument("terminal_id")
@acting
@config_option
@pass_shared
@in_loop
async def add_terminal(shared: Shared, code: str, terminal_id: str, config_file: Path, **who: Any) -> None:
    """Prepare one more terminal of station CODE."""
    tell(await act(shared, config_file, who, "terminal.add", code, terminal_id=terminal_id), "")


@terminal.command("close")
@click.argument("code")
@click.argument("terminal_id")
@acting
@config_option
@pass_shared
@in_loop
async def close_terminal(shared: Shared, code: str, terminal_id: str, config_file: Path, **who: Any) -> None:
    """Prepare that a terminal is used no more; its certificates are revoked before."""
    tell(await act(shared, config_file, who, "terminal.close", code, terminal_id=terminal_id), "")
