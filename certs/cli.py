"""`bianmin certs`: the authority, keys and certificates. Each group is imported when it is used."""

import click

from certs.cli_ca import ca


@click.group("certs")
def group() -> None:
    """The certificate authority; keys and certificates."""


group.add_command(ca)
