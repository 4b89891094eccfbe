"""The README tells the truth: its diagram is the table's, its paths and commands exist."""

import re
from importlib.metadata import entry_points
from pathlib import Path

from gateway.core.states import diagram

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_state_diagram_is_printed_from_the_table() -> None:
    block = README.partition("<!-- states:begin -->\n")[2].partition("\n<!-- states:end -->")[0]
    assert block == f"```mermaid\n{diagram()}\n```"


def test_every_path_it_names_exists() -> None:
    named = set(re.findall(r"`((?:contracts|certs|adapters|gateway|settlement|tests)/[A-Za-z0-9_./]*)`", README))
    assert len(named) > 8
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_command_it_names_exists() -> None:
    commands = {point.name for point in entry_points(group="bianmin.commands")}
    named = set(re.findall(r"bianmin ([a-z]+)", README))
    assert named <= commands


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets
