"""The same commands on PostgreSQL."""

import json
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.integration.ops.test_commands import CODE, call

pytestmark = pytest.mark.postgres


def test_an_installation_on_postgresql(postgres_dsn: str, tmp_path: Path) -> None:
    url = make_url(postgres_dsn)
    site = tmp_path / "site"
    where = ["--engine", "postgresql", "--host", f"{url.host}:{url.port}", "--database", str(url.database)]
    words = ["init", str(site), *where, "--user", str(url.username)]
    (tmp_path / "password").write_text("not-asked-for\n")
    code, _, said = call(*words, "--password-file", str(tmp_path / "password"))
    assert code == 0, said
    assert (site / "secrets/postgresql.password").read_text() == "not-asked-for\n"
    assert "not-asked-for" not in (site / "bianmin.toml").read_text()
    assert call("db", "check", at=site)[:2] == (0, "equal\n")
    deposit = ("station", "deposit", CODE, "12.34", "--voucher", "V1", "--outlet", "1", "--by", "1")
    assert call(*deposit, at=site)[0] == 0
    assert json.loads(call("station", "list", "--json", at=site)[1])[0]["available_fen"] == 1234
    code, said, _ = call("audit", "--json", at=site)
    assert (code, json.loads(said)["ok"]) == (0, True)
    # The database is in use: a second installation on it registers nothing and leaves no folder.
    code, _, said = call("init", str(tmp_path / "twin"), *words[2:])
    assert code == 1
    assert "exists" in said
    assert not (tmp_path / "twin").exists()
    assert call("db", "upgrade", at=site)[0] == 0
