"""`bianmin sim BILLER`: that biller's simulator, as its adapter names it."""

from importlib import import_module

import click

from gateway.ops.shared import Shared, pass_shared


@click.command("sim", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("biller")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_shared
def command(shared: Shared, biller: str, arguments: tuple[str, ...]) -> None:
    """Run BILLER's simulator until SIGTERM; what follows the name is the simulator's own (--port, --help …)."""
    if biller in ("-h", "--help"):
        click.echo(f"Usage: bianmin sim BILLER [ARGUMENTS]\n\nBillers: {', '.join(shared.adapters)}")
        return
    if biller not in shared.adapters:
        raise click.UsageError(f"no adapter {biller}; installed: {', '.join(shared.adapters) or 'none'}")
    import_module(shared.adapters[biller].simulator).main(list(arguments))
