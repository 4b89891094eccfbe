"""`bianmin station`: register, deposit, list, show, and deeds about a station. Works while `serve` runs."""

from pathlib import Path
from typing import Any

import click

from gateway.ops import station_exit, station_parts
from gateway.ops.certs.acting import act, acting, signer_of, tell
from gateway.ops.money import fen_of
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

DEPOSIT_MAX_FEN = 10**10
_LIST = (
    "SELECT s.institution_code, s.name, s.state, s.reason, b.available_fen, b.reserved_fen, b.receivable_fen"
    " FROM stations s JOIN station_balances b ON b.institution_code = s.institution_code ORDER BY s.institution_code"
)
_ONE = (
    "SELECT s.name, s.state, s.reason, s.overdraft_limit_fen, s.low_balance_fen, b.available_fen, b.reserved_fen,"
    " b.receivable_fen FROM stations s JOIN station_balances b ON b.institution_code = s.institution_code"
    " WHERE s.institution_code = :code"
)
_PARTS = {
    "terminals": "SELECT terminal_id, state FROM terminals WHERE institution_code = :code ORDER BY terminal_id",
    "operators": "SELECT operator_id, name, state FROM operators WHERE institution_code = :code ORDER BY operator_id",
    "services": "SELECT service, state, reason FROM station_services WHERE institution_code = :code ORDER BY service",
    "certificates": "SELECT c.keyid, c.state, b.terminal_id, b.operator_id, c.not_after FROM bindings b"
    " JOIN certificates c ON c.keyid = b.keyid WHERE b.institution_code = :code AND b.unbound_at IS NULL"
    " ORDER BY b.bound_at",
}
_FIELDS = {
    "terminals": ("terminal_id", "state"),
    "operators": ("operator_id", "name", "state"),
    "services": ("service", "state", "reason"),
    "certificates": ("keyid", "state", "terminal_id", "operator_id", "not_after"),
}


@click.group("station")
def group() -> None:
    """Register stations; take deposits; suspend, resume; operators, terminals; close, transfer."""


for one in (
    station_parts.suspend,
    station_parts.resume,
    station_parts.operator,
    station_parts.terminal,
    station_exit.close,
    station_exit.transfer,
):
    group.add_command(one)


@group.command("add")
@click.argument("code")
@click.option("--name", required=True, help="The shop's name.")
@click.option("--terminal", default="T1", show_default=True)
@click.option("--operator", default="0001", show_default=True)
@click.option("--operator-name", required=True)
@click.option("--service", "services", multiple=True, help="Repeat; default: every service of the configured billers.")
@click.option("--overdraft", default="0", show_default=True, help="Yuan.")
@click.option("--low-balance", default="0", show_default=True, help="Yuan; below it the station is warned.")
@click.option("--trained-days", default=365, show_default=True, type=click.IntRange(1, 3650))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make for key, certificate and terminal.toml.")
@acting
@config_option
@pass_shared
@in_loop
async def add(shared: Shared, code: str, services: tuple[str, ...], config_file: Path, **given: Any) -> None:
    """Prepare a station whole: terminal, operator, training, services; another person approves it (JOIN-16, M12).

    Where the issuing key lies in the installation, with key and certificate in files; else apply for one afterwards.
    """
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.enrol import Applicant, load_issuing
    from gateway.ops.register import place_of, register

    applicant = Applicant(
        institution_code=code,
        name=given["name"],
        terminal_id=given["terminal"],
        operator_id=given["operator"],
        operator_name=given["operator_name"],
    )
    if (wrong := applicant.wrong()) is not None:
        raise click.UsageError(wrong)
    fields = {
        "overdraft_limit_fen": str(fen_of(given["overdraft"], least=0)),
        "low_balance_fen": str(fen_of(given["low_balance"], least=0)),
        "trained_days": str(given["trained_days"]),
    }
    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    fields["services"] = ",".join(list(services) or sorted(env.billers))
    if not env.pilot:
        if given["out"] is not None:
            raise click.UsageError("--out: there is no issuing key here; the station's key is a USB key's")
        acted = await act(shared, config_file, given, "station.add", code, **place_of(applicant), **fields)
        click.echo(f"station {code} waits, without a certificate; then: certs key hand-out, certs apply")
        tell(acted, "")
        return
    folder = given["out"] or config.file.parent / "stations" / code
    issuing = load_issuing(config)
    async with open_desk(config, env) as desk:
        with signer_of(shared, config, given) as signer:
            acted = await register(
                desk,
                config,
                applicant,
                issuing,
                signer=signer,
                fields=fields,
                who=given,
                shared=shared,
                folder=folder,
            )
    click.echo(f"station {code} waits; then hand {folder} over to the shop, the password by another way")
    tell(acted, "")


@group.command("deposit")
@click.argument("code")
@click.argument("amount")
@click.option("--voucher", required=True, help="Number of the counter's voucher: good once (ACC-03).")
@click.option("--outlet", required=True, help="Where it was paid in.")
@click.option("--by", required=True, help="Who took it.")
@config_option
@pass_shared
@in_loop
async def deposit(shared: Shared, code: str, amount: str, config_file: Path, **given: str) -> None:
    """Credit AMOUNT yuan paid in at a counter; an open receivable is covered first."""
    from contracts.money import Fen
    from gateway.core.items import Deposit
    from gateway.ops.desk import entropy

    fen = fen_of(amount, least=0)
    if not 1 <= fen <= DEPOSIT_MAX_FEN:
        raise click.UsageError(f"a deposit is between 0.01 and {Fen(DEPOSIT_MAX_FEN).to_yuan()} yuan")
    for name, text in given.items():
        _check_text(name, text)
    item = Deposit(
        institution_code=code,
        amount_fen=fen,
        voucher_number=given["voucher"],
        outlet=given["outlet"],
        taken_by=given["by"],
        entropy=entropy(),
    )
    await _ask(shared, config_file, item)
    click.echo(f"{Fen(fen).to_yuan()} yuan credited to {code}, voucher {given['voucher']}")


@group.command("list")
@config_option
@json_option
@pass_shared
@in_loop
async def list_stations(shared: Shared, config_file: Path, as_json: bool) -> None:
    """Every station with its state and balances."""
    from contracts.money import Fen

    names = ("institution_code", "name", "state", "reason", "available_fen", "reserved_fen", "receivable_fen")
    found = [dict(zip(names, row, strict=True)) for row in await _read(shared, config_file, _LIST, {})]
    if as_json:
        echo_json(found)
        return
    for row in found:
        owed = f"  owes {Fen(row['receivable_fen']).to_yuan()}" if row["receivable_fen"] else ""
        money = f"{Fen(row['available_fen']).to_yuan():>14} {Fen(row['reserved_fen']).to_yuan():>12}"
        click.echo(f"{row['institution_code']:<14} {row['state']:<10} {money}  {row['name']}{owed}")


@group.command("show")
@click.argument("code")
@config_option
@json_option
@pass_shared
@in_loop
async def show(shared: Shared, code: str, config_file: Path, as_json: bool) -> None:
    """One station whole."""
    rows = await _read(shared, config_file, _ONE, {"code": code})
    if not rows:
        raise NotSo(f"there is no station {code}")
    names = "name state reason overdraft_limit_fen low_balance_fen available_fen reserved_fen receivable_fen".split()
    found: dict[str, Any] = {"institution_code": code} | dict(zip(names, rows[0], strict=True))
    for part, sql in _PARTS.items():
        rows = await _read(shared, config_file, sql, {"code": code})
        found[part] = [dict(zip(_FIELDS[part], row, strict=True)) for row in rows]
    if as_json:
        echo_json(found)
        return
    for key, value in found.items():
        if not isinstance(value, list):
            click.echo(f"{key}: {'' if value is None else value}")
            continue
        click.echo(f"{key}:")
        for row in value:
            click.echo("  " + "  ".join(f"{name}={text}" for name, text in row.items() if text is not None))


def _check_text(name: str, text: str) -> None:
    if not (0 < len(text) <= 64 and text.isprintable() and text == text.strip()):
        raise click.UsageError(f"--{name}: 1 to 64 printable characters")


async def _ask(shared: Shared, config_file: Path, item: Any) -> Any:
    """Run one item; a refusal is told in one line and exits 1."""
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.register import need

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        return need(await desk.run(item))


async def _read(shared: Shared, config_file: Path, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.store.port import Snapshot

    async def use(snapshot: Snapshot) -> list[tuple[Any, ...]]:
        return [row async for part in snapshot.rows(sql, params) for row in part]

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        return await desk.snapshot(use)
