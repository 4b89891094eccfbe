"""`bianmin evidence SERIAL`, `bianmin evidence --day DAY`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store.port import Snapshot

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@click.command("evidence")
@click.argument("serial", required=False)
@click.option("--day", help="Of a whole day, YYYY-MM-DD, instead of one payment: every record that was sealed on it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make; default evidence-SERIAL or -DAY.")
@config_option
@json_option
@pass_shared
@in_loop
async def command(shared: Shared, serial: str | None, config_file: Path, as_json: bool, **given: Any) -> None:
    """Write everything that proves one payment, or one day, as files, with verify.sh that needs only openssl and a
    shell.

    verify.sh exits with 0 where every record is proven, 3 where nothing is wrong but the day of a record is not signed
    yet, 1 where something is not what it says it is.
    """
    from contracts.serials import is_serial
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.whole import WholeBook

    day, out = given["day"], given["out"]
    if (serial is None) == (day is None):
        raise click.UsageError("one payment's serial, or --day")
    if serial is not None and not is_serial(serial):
        raise click.UsageError("a gateway serial is eight digits and 16 letters or digits")
    if day is not None and not _DAY.fullmatch(day):
        raise click.UsageError("a day is YYYY-MM-DD")
    config = shared.load(config_file)
    folder = out or Path(f"evidence-{serial or day}")

    async def write(snapshot: "Snapshot") -> dict[str, Any]:
        book = WholeBook(snapshot)
        if day is not None:
            return await _day(book, config, day, folder)
        return await _payment(book, config, str(serial), folder)

    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = {"folder": str(folder)} | await desk.snapshot(write)
    if as_json:
        echo_json(found)
    else:
        sealed = found["under_a_signed_day"]
        click.echo(f"{folder}: {found['records']} records, {sealed} under a signed day; run {folder}/verify.sh")


async def _day(book: "Snapshot", config: "Config", day: str, folder: Path) -> dict[str, Any]:
    from gateway.ops.evidence.day import write_day

    keys = config.keys
    seal = await write_day(book, day, folder, root=keys.root_cert_file, issuing=keys.issuing_cert_file)
    signed = seal.count if seal.signature is not None else 0
    return {"day": day, "records": seal.count, "under_a_signed_day": signed}


async def _payment(book: "Snapshot", config: "Config", serial: str, folder: Path) -> dict[str, Any]:
    from gateway.ops.evidence.collect import collect
    from gateway.ops.evidence.write import write_bundle

    bundle = await collect(book, serial)
    if bundle is None:
        raise NotSo(f"there is no payment {serial}")
    keys = config.keys
    await write_bundle(book, bundle, folder, root=keys.root_cert_file, issuing=keys.issuing_cert_file)
    sealed = sum(place.seal is not None and place.seal.signature is not None for place in bundle.places)
    return {"records": len(bundle.places), "under_a_signed_day": sealed}
