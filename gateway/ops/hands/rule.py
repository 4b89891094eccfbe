"""`bianmin ops rule`: two people say what became of a payment that has been in doubt for long (M5, M12)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.shared import NotSo, Shared, config_option, in_loop, pass_shared

if TYPE_CHECKING:
    from gateway.core.rows import Payment
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("rule")
@click.argument("serial")
@click.option("--paid/--not-paid", "paid", default=None, help="The biller keeps the money, or it does not.")
@click.option("--paid-fen", type=click.IntRange(min=1), help="How much, where it is less than was ordered.")
@click.option("--biller-serial", default="", help="The biller's own serial of it.")
@click.option("--attach", "files", type=_FILE, multiple=True, required=True, help="What it leans on; ≤ 5 MiB each.")
@acting
@config_option
@pass_shared
@in_loop
async def rule(
    shared: Shared, serial: str, paid: bool | None, files: tuple[Path, ...], config_file: Path, **given: Any
) -> None:
    """Prepare a ruling on payment SERIAL; another person approves it, and only then it posts and the shop is told.

    Only where nobody else can tell: in doubt for longer than bureau.rule_after_s or on the resolver's last rung, or
    where the biller has contradicted an earlier ruling. Look first: ops in-doubt show SERIAL.
    """
    if paid is None:
        raise click.UsageError("--paid or --not-paid")
    if not paid and (given["paid_fen"] or given["biller_serial"]):
        raise click.UsageError("--paid-fen and --biller-serial go with --paid")
    payment, attachments = await _ready(shared, config_file, serial, files)
    fields = {
        "verdict": "paid" if paid else "not-paid",
        "state": payment.state,
        "paid_fen": str(given["paid_fen"] or ""),
        "biller_serial": given["biller_serial"],
        "attachments": attachments,
    }
    tell(await act(shared, config_file, given, "payment.rule", serial, **fields), "")


async def _ready(shared: Shared, config_file: Path, serial: str, files: tuple[Path, ...]) -> "tuple[Payment, str]":
    """The payment as it is, and the files kept."""
    from gateway.config import build_env
    from gateway.core.rows import Payment
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await rows_of(desk, Payment, "gateway_serial = :serial", {"serial": serial})
        if not found:
            raise NotSo(f"there is no payment {serial} in the book")
        return found[0], await _keep(desk, files)


async def _keep(desk: "Desk", files: tuple[Path, ...]) -> str:
    """Put the files into the book; the field of the deed that names them."""
    import hashlib

    from gateway.core.attachments import FILES_MAX, SIZE_MAX, KeepAttachment, name_attachments
    from gateway.ops.register import need

    if len(files) > FILES_MAX:
        raise click.UsageError(f"--attach: at most {FILES_MAX} files")
    named: dict[str, int] = {}
    for file in files:
        if file.stat().st_size > SIZE_MAX:
            raise click.UsageError(f"--attach {file.name}: at most {SIZE_MAX} bytes")
        body = file.read_bytes()
        need(await desk.run(KeepAttachment(name=file.name, body=body)))
        named[hashlib.sha256(body).hexdigest()] = len(body)
    return name_attachments(list(named.items()))
