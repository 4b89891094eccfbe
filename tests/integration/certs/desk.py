"""An installation with two people of the staff, and their command lines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from gateway.cli import run
from tests.stand.clerks import who


def say(words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of one command line in this process."""
    holder: dict[str, int] = {}

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def wrapped(words: tuple[str, ...]) -> None:
        holder["code"] = run(words)

    result = CliRunner().invoke(wrapped, ["--", *words], catch_exceptions=False)
    return holder.get("code", result.exit_code), result.stdout, result.stderr


class Desk:
    """An installation with two people who have files for keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert say(["init", str(folder)])[0] == 0
        self.config = str(folder / "bianmin.toml")

    def who(self, number: int) -> list[str]:
        return who(self.folder, number)[:-2]

    def do(self, by: int, *words: str, reason: str = "按规定办理") -> tuple[int, str, str]:
        return say([*words, *self.who(by), "--reason", reason, "--config", self.config])

    def done(self, by: int, *words: str) -> str:
        code, out, err = self.do(by, *words)
        assert code == 0, (words, out, err)
        return out

    def both(self, *words: str) -> None:
        """Prepared by the first, approved by the second."""
        plan = self.done(1, *words).split()[-1]
        assert self.do(1, "ops", "approve", plan)[0] == 1
        assert "is DONE" in self.done(2, "ops", "approve", plan)

    def read(self, *words: str) -> Any:
        code, out, err = say([*words, "--json", "--config", self.config])
        assert code in (0, 1), err
        return json.loads(out)

    def state(self, keyid: str) -> str:
        (found,) = [one for one in self.read("certs", "list") if one["keyid"] == keyid]
        return str(found["state"])
