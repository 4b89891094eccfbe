"""`bianmin`: one group of commands, each imported only when it is used (design s2, s9)."""

import io
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

import click

GROUP = "bianmin.commands"
HELP: Mapping[str, str] = {
    "init": "Make a configuration, a pilot CA, a database and one station: ready to serve.",
    "serve": "Run the gateway; SIGTERM drains.",
    "sim": "Run a biller's simulator.",
    "terminal": "A shop's side: query, pay, status, last, cancel, balance …",
    "demo": "A short business day with simulators.",
    "station": "Register stations; take deposits; suspend, resume, close, transfer.",
    "certs": "The certificate authority; keys and certificates.",
    "audit": "Check every invariant of the whole book.",
    "ops": "Look at payments and messages; approve what another person prepared.",
    "evidence": "Write everything that proves one payment, with a script that verifies it.",
    "config": "Check the configuration.",
    "db": "Migrations, and equality of the database with the schema.",
    "bus": "Make the topics of the bus, and check them.",
    "adapters": "List and show the installed billers' adapters.",
}
"""What `bianmin --help` says of our own commands without importing them, in its order."""


class LazyGroup(click.Group):
    """Commands of the entry-point group `bianmin.commands`; one is loaded when it runs or is asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own in the order of HELP, then other packages' by name."""
        names = _points()
        return [name for name in HELP if name in names] + sorted(name for name in names if name not in HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; a usage error where its package is broken."""
        point = _points().get(cmd_name)
        if point is None:
            return None
        try:
            command = point.load()
        except (ImportError, AttributeError) as broken:
            raise click.UsageError(f"the command {cmd_name} cannot be loaded: {broken}", ctx) from broken
        if not isinstance(command, click.Command):
            raise click.UsageError(f"{point.value} is not a command", ctx)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP.get(name, "")) for name in self.list_commands(ctx)])


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bianmin-gateway", prog_name="bianmin")
@click.pass_context
def bianmin(ctx: click.Context) -> None:
    """Payment gateway of a postal bureau's convenience stations (便民服务站).

    Exit codes: 0 done, 1 the thing asked about is not so, 2 wrong use or configuration.
    """
    from gateway.ops.shared import Shared

    ctx.obj = Shared()


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; a user's mistake is one clear line on stderr."""
    try:
        # A command's own return value is no exit code; it speaks through ctx.exit() and exceptions.
        code = bianmin.main(args=None if argv is None else list(argv), prog_name="bianmin", standalone_mode=False)
    except click.UsageError as wrong:
        told = io.StringIO()
        wrong.show(told)
        names = wrong.ctx.command_path.split() if wrong.ctx else ()
        click.echo(_untold(told.getvalue(), sys.argv[1:] if argv is None else argv, names), nl=False, err=True)
        return wrong.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("bianmin: interrupted", err=True)
        return 130
    except Exception as wrong:  # boundary: what a user can put right is told in one line, the rest is our bug
        line = _explain(wrong)
        if line is None:
            raise
        click.echo(f"bianmin: {line}", err=True)
        return 2
    return code if isinstance(code, int) else 0


def _untold(text: str, words: Sequence[str], names: Collection[str]) -> str:
    """A usage error without what was typed: it may be an account, a name, a token, and what cron mails is kept.

    Told are options, the command's own names, and a word of letters where a command was meant.
    """
    head, mark, error = text.partition("Error: ")
    typo = error.startswith("No such command")
    options = {word.partition("=")[0].lstrip("-") for word in words if word.startswith("-")}
    values = {word.partition("=")[2] if word.startswith("-") else word for word in words} - set(names)
    for value in sorted(values | options, key=len, reverse=True):
        letters = value.isascii() and value.replace("-", "").isalpha()
        if len(value) > 1 + value.isascii() and not (letters and (typo or value in options)):
            error = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "***", error)
    return head + mark + error


def main() -> None:
    """The console script."""
    sys.exit(run())


def _explain(wrong: BaseException) -> str | None:
    """One line for what the user can put right: configuration, keys, database, files, addresses; else None."""
    if isinstance(wrong, OSError):
        place = f"{wrong.filename}: " if wrong.filename else ""
        return f"{place}{wrong.strerror or wrong}"
    # Whoever raised one of these has imported its module; the others need not be imported to be told apart.
    for module, name in (
        ("gateway.config", "ConfigError"),
        ("gateway.store.port", "StoreError"),
        ("certs.keys", "KeyFileError"),
        ("certs.authority.issuing", "IssueRefused"),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(wrong, kind):
            return str(wrong)
    return None
