"""`bianmin db archive` and `bianmin db restored` as a person types them; the book is SQLite, the words are the same."""

import json
from pathlib import Path

import pytest

from tests.integration.ops.test_commands import call


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation without payments."""
    folder = tmp_path_factory.mktemp("commands") / "site"
    assert call("init", str(folder))[0] == 0
    return folder


def test_what_there_is_nothing_of_is_archived_at_once(site: Path) -> None:
    for more in ([], ["--dry-run"]):
        code, said, _ = call("db", "archive", "--before", "2020-01", "--json", *more, at=site)
        assert code == 0
        found = json.loads(said)
        assert (found["before"], found["payments"], found["dry_run"]) == ("2020-01-01", 0, bool(more))
    assert "0 payments" in call("db", "archive", "--before", "2020-01", at=site)[1]


@pytest.mark.parametrize("month", ["2020-1", "2020-13", "20-01", "2020-01-01", "x"])
def test_a_month_is_a_month(site: Path, month: str) -> None:
    code, _, said = call("db", "archive", "--before", month, at=site)
    assert code == 2
    assert "YYYY-MM" in said


def test_a_month_to_come_is_not_over(site: Path) -> None:
    code, _, said = call("db", "archive", "--before", "2999-01", at=site)
    assert code == 1
    assert "not over" in said


def test_restored_asks_before_it_does_anything(site: Path) -> None:
    code, _, _ = call("db", "restored", at=site)
    assert code != 0
    code, said, _ = call("db", "restored", "--yes", at=site)
    assert code == 0
    assert "0 orders are in doubt" in said
    for full in ([], ["--full"]):
        assert call("audit", *full, at=site)[0] == 0
