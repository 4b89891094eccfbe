"""The runbook: a section for every alert, reached by its link, and no command that does not exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.cli import bianmin
from tests.architecture.test_monitoring import RULES

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "gateway/ops/RUNBOOK.md"
TEXT = RUNBOOK.read_text(encoding="utf-8")
COMMANDS = sorted({" ".join(found.split()) for found in re.findall(r"`(bianmin [^`]*)`", TEXT)})
ANSWERS = ("*Means*:", "*Look*:", "*Do*:", "*Never*:")


def sections() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", TEXT, flags=re.MULTILINE)[1:]
    return {name: re.split(r"^## ", body, flags=re.MULTILINE)[0] for name, body in zip(*[iter(parts)] * 2, strict=True)}


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_every_alert_has_its_section_with_four_answers(alert: str) -> None:
    body = sections()[alert]
    assert [body.count(answer) for answer in ANSWERS] == [1, 1, 1, 1]
    assert re.sub(r"\s+", " ", body).index("*Look*") < body.index("*Do*") < body.index("*Never*")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_points_to_its_section(rule: dict[str, dict[str, str]]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / file == RUNBOOK
    assert anchor in {name.lower().replace(" ", "-") for name in sections()}
    assert anchor == str(rule["alert"]).lower()


def test_no_section_is_of_an_alert_that_is_gone() -> None:
    before_by_hand = TEXT.partition("## By hand")[0]
    named = re.findall(r"^### (.+)$", before_by_hand, flags=re.MULTILINE)
    assert set(named) == {rule["alert"] for rule in RULES}


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the rest."""
    command: click.Command = bianmin
    context = click.Context(bianmin)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    return command, words


def wrong(line: str) -> str:
    """What is wrong with a command line of the runbook; "" where it could be typed so."""
    command, rest = resolve(shlex.split(line.replace("…", "X"))[1:])
    if "--help" in rest:
        return "" if rest == ["--help"] else f"{rest} before --help"
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return f"{rest or 'nothing'} is no command of {command.name}"
    options = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    options |= {name: one for one in command.params if isinstance(one, click.Option) for name in one.secondary_opts}
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    given, used = 0, set()
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            given += 1
            continue
        if word not in options:
            return f"{command.name} has no {word}"
        used.add(options[word].name)
        if not options[word].is_flag and (not rest or rest.pop(0).startswith("--")):
            return f"{word} without a value"
    required = sum(one.required for one in arguments)
    if not required <= given <= len(arguments):
        return f"{given} words, {len(arguments)} are taken"
    missing = {one.name for one in options.values() if one.required} - used
    return f"without {missing}" if missing else ""


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    assert wrong(line) == ""


@pytest.mark.parametrize(
    "line",
    [
        "bianmin ops nothing", "bianmin ops", "bianmin ops trace", "bianmin ops trace A B", "bianmin ops rule A --paid",
        "bianmin ops rule A --paid --reason", "bianmin ops biller pause B --text x --reason y", "bianmin certs crl",
    ],
)  # fmt: skip
def test_a_wrong_command_would_be_seen(line: str) -> None:
    assert wrong(line)


def test_commands_that_do_something_say_why() -> None:
    doing = [line for line in COMMANDS if "--reason" in line]
    assert len(doing) > 15
    assert all("bianmin ops" in line for line in doing)
