"""`bianmin evidence SERIAL`, `bianmin evidence --day DAY`, `bianmin evidence --compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, is_day, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store.port import Snapshot


@click.command("evidence")
@click.argument("serial", required=False)
@click.option("--day", help="Of a whole day, YYYY-MM-DD, instead of one payment: every record that was sealed on it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make; default evidence-SERIAL or -DAY.")
@click.option("--compare", is_flag=True, help="Instead: what a stranger compares by another way, in two lines.")
@config_option
@json_option
@pass_shared
@in_loop
async def command(shared: Shared, serial: str | None, config_file: Path, as_json: bool, **given: Any) -> None:
    """Write everything that proves one payment, or one day, as files, with verify.sh that needs only openssl and a
    shell. With --compare: the root's fingerprint and the SHA-256 of verify.sh, to be told by telephone or on paper.

    verify.sh exits with 0 where every record is proven, 3 where nothing is wrong but the day of a record is not signed
    yet, 1 where something is not what it says it is.
    """
    from contracts.serials import is_serial
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.whole import WholeBook

    day, out = given["day"], given["out"]
    if given["compare"]:
        if serial is not None or day is not None or out is not None:
            raise click.UsageError("--compare stands alone")
        _compare(shared.load(config_file), as_json=as_json)
        return
    if (serial is None) == (day is None):
        raise click.UsageError("one payment's serial, or --day")
    if serial is not None and not is_serial(serial):
        raise click.UsageError("a gateway serial is eight digits and 16 letters or digits")
    if day is not None and not is_day(day):
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


def _compare(config: "Config", *, as_json: bool) -> None:
    from certs.keys import load_certificate
    from gateway.ops.evidence.files import script_sha256

    root = load_certificate(config.keys.root_cert_file).keyid.upper()
    told = {"root": ":".join(root[at : at + 2] for at in range(0, len(root), 2)), "verify_sh_sha256": script_sha256()}
    if as_json:
        echo_json(told)
    else:
        click.echo(f"root {told['root']}\nverify.sh {told['verify_sh_sha256']}")


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
    sealed = sum(place.under_a_signed_day for place in bundle.places)
    return {"records": len(bundle.places), "under_a_signed_day": sealed}
