"""The rules of the house, checked on the house. `test_planted.py` shows that each one bites."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture import habits, layers
from tests.architecture.tree import Tree, load_tree

ROOT = Path(__file__).parents[2]
Rule = Callable[[Tree], Iterator[str]]
RULES: Mapping[str, Rule] = {
    "direction": layers.check_direction,
    "contracts": layers.check_contracts,
    "purity": layers.check_purity,
    "import-time": layers.check_import_time,
    "cycles": layers.check_cycles,
    "top-level": habits.check_top_level,
    "file-size": habits.check_file_size,
    "function-size": habits.check_function_size,
    "names": habits.check_names,
    "docstrings": habits.check_docstrings,
    "floats": habits.check_floats,
    "broad-except": habits.check_broad_except,
    "notes-to-self": habits.check_notes_to_self,
    "prints": habits.check_prints,
    "banned-references": habits.check_banned_references,
}


@pytest.fixture(scope="module")
def house() -> Tree:
    """The repository itself."""
    return load_tree(ROOT)


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(house: Tree, rule: str) -> None:
    violations = list(RULES[rule](house))
    assert not violations, "\n" + "\n".join(violations)


def test_there_is_something_to_check(house: Tree) -> None:
    assert {"contracts.money", "tests.architecture.test_tidy"} <= set(house.modules)
    assert not habits.OVERSIZE
