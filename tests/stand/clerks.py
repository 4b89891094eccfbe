"""The two people whom `bianmin init` makes, for tests that type commands: what takes both is done by both."""

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from gateway.cli import run


def who(site: Path, number: int) -> list[str]:
    """The options by which person 1 or 2 of an installation signs."""
    keys, secrets = site / "keys", site / "secrets"
    return [
        "--as",
        str(keys / f"staff-{number}.cert.pem"),
        "--key",
        str(keys / f"staff-{number}.key.pem"),
        "--password-file",
        str(secrets / f"staff-{number}-key.password"),
        "--reason",
        "按规定办理",
    ]


def say_here(words: Sequence[str]) -> str:
    """A command line in this process that must end well, and its stdout."""
    with redirect_stdout(StringIO()) as said:
        assert run(words) == 0, (words, said.getvalue())
    return said.getvalue()


def both(site: Path, say: Callable[[Sequence[str]], str], *words: str) -> str:
    """Prepared by the first, approved by the second (M12). say: runs a command line and returns its stdout."""
    config = ["--config", str(site / "bianmin.toml")]
    prepared = say([*words, *who(site, 1), *config])
    plan = prepared.split()[-1]
    assert "is DONE" in say(["ops", "approve", plan, *who(site, 2), *config])
    return prepared
