"""`bianmin certs`: the commands of room certs, and those that need the book. Each of these is imported when used."""

from collections.abc import Mapping
from importlib import import_module

import click

from certs.cli import group as room

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "apply": ("gateway.ops.certs.requests_cli", "apply", "Apply for a certificate."),
    "approve": ("gateway.ops.certs.requests_cli", "approve", "Approve another person's application."),
    "refuse": ("gateway.ops.certs.requests_cli", "refuse", "Refuse an application."),
    "issue": ("gateway.ops.certs.requests_cli", "issue", "Issue and register the certificate of an approved one."),
    "bind": (
        "gateway.ops.certs.life_cli",
        "bind",
        "Prepare a binding: certificate, USB key, station, terminal, operator.",
    ),
    "activate": ("gateway.ops.certs.life_cli", "activate", "Let a bound certificate speak."),
    "freeze": ("gateway.ops.certs.life_cli", "freeze", "Let it speak no more, at once."),
    "unfreeze": ("gateway.ops.certs.life_cli", "unfreeze", "Prepare that a frozen one speaks again."),
    "renew": ("gateway.ops.certs.requests_cli", "renew", "Apply for the successor of a certificate."),
    "replace": ("gateway.ops.certs.life_cli", "replace", "End a certificate whose successor is active."),
    "revoke": ("gateway.ops.certs.life_cli", "revoke", "End a certificate for good."),
    "list": ("gateway.ops.certs.watch_cli", "list_certificates", "Certificates, or applications."),
    "expiring": ("gateway.ops.certs.watch_cli", "expiring", "Certificates that end within 60, 30, 7 days."),
    "key": ("gateway.ops.certs.key_cli", "key", "USB keys: receive, hand out, return, lost, destroy, list."),
    "staff": ("gateway.ops.certs.staff_cli", "staff", "People of the bureau: add, leave, renewal, restore, list."),
    "crl": ("gateway.ops.certs.crl_cli", "crl", "Publish the list of revoked certificates; show what is published."),
    "partner": (
        "gateway.ops.certs.partner_cli",
        "partner",
        "Certificates of partners: add, approve, close, verify, list; crl.",
    ),
}
"""By name: module, attribute, help."""


class CertsGroup(click.Group):
    """The room's own commands, then the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In their order."""
        return [*room.list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        found = COMMANDS.get(cmd_name)
        if found is None:
            return room.get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(found[0]), found[1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each, without importing what is not used."""
        own = [(name, command.get_short_help_str(80)) for name, command in room.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(own + [(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.command("certs", cls=CertsGroup)
def group() -> None:
    """The certificate authority; keys and certificates."""
