"""`bianmin evidence SERIAL`."""

from pathlib import Path

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared


@click.command("evidence")
@click.argument("serial")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make; default evidence-SERIAL.")
@config_option
@json_option
@pass_shared
@in_loop
async def command(shared: Shared, serial: str, out: Path | None, config_file: Path, as_json: bool) -> None:
    """Write everything that proves one payment as files, with verify.sh that needs only openssl and a shell.

    verify.sh exits with 0 where every record is proven, 3 where nothing is wrong but the day of a record is not signed
    yet, 1 where something is not what it says it is.
    """
    from contracts.serials import is_serial
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.evidence.collect import collect
    from gateway.ops.evidence.write import write_bundle
    from gateway.ops.whole import WholeBook

    if not is_serial(serial):
        raise click.UsageError("a gateway serial is eight digits and 16 letters or digits")
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        bundle = await desk.snapshot(lambda snapshot: collect(WholeBook(snapshot), serial))
    if bundle is None:
        raise NotSo(f"there is no payment {serial}")
    folder = out or Path(f"evidence-{serial}")
    write_bundle(bundle, folder, root=config.keys.root_cert_file, issuing=config.keys.issuing_cert_file)
    sealed = sum(place.seal is not None and place.seal.signature is not None for place in bundle.places)
    found = {"folder": str(folder), "records": len(bundle.places), "under_a_signed_day": sealed}
    if as_json:
        echo_json(found)
    else:
        click.echo(f"{folder}: {len(bundle.places)} records, {sealed} under a signed day; run {folder}/verify.sh")
