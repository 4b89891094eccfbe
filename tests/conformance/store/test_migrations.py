"""All migrations together make exactly the tables, and start-up refuses what they have not made."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from gateway.store import ddl
from gateway.store.migrations import check, upgrade
from gateway.store.migrations.upgrade import script_config
from gateway.store.port import StoreBusy, StoreRefused
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.process import WriterProcess
from gateway.store.version import HEAD
from tests.conformance.store import toys
from tests.conformance.store.conftest import PostgresBook
from tests.stand.postgres import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


def test_migrations_make_exactly_the_tables(url: str) -> None:
    assert check(url)
    upgrade(url)
    assert check(url) == []


def test_upgrade_twice_and_at_once_is_one_upgrade(url: str) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            upgrade(url)
        except BaseException as error:  # boundary: told to the test
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert check(url) == []


CHANGES = {
    "column": ("ALTER TABLE payments ADD COLUMN extra TEXT", "unexpected: column payments.extra"),
    "table": ("CREATE TABLE strange (a TEXT)", "unexpected: table strange"),
    "index": ("DROP INDEX uq_payments_open", "missing: index payments.uq_payments_open"),
    "other-index": ("CREATE INDEX ix_extra ON payments (kind)", "unexpected: index payments.ix_extra"),
    "version": ("UPDATE schema_version SET version_num = '0000'", "version: 0000"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_names_each_difference(url: str, change: str) -> None:
    statement, expected = CHANGES[change]
    upgrade(url)
    _run(url, statement)
    lines = check(url)
    assert any(line.startswith(expected) for line in lines), lines


def test_a_newer_database_is_told_and_left_alone(url: str) -> None:
    upgrade(url)
    _run(url, "UPDATE schema_version SET version_num = '0999'")
    with pytest.raises(StoreRefused, match="0999, newer than this program"):
        upgrade(url)
    assert check(url) == [f"version: 0999, not {HEAD} (newer than this program)"]


@pytest.mark.postgres
def test_storage_is_compared_and_may_be_tuned(postgres_dsn: str) -> None:
    upgrade(postgres_dsn)
    _run(postgres_dsn, "ALTER TABLE outbox SET (autovacuum_vacuum_cost_delay = 1)")
    assert check(postgres_dsn) == []
    _run(postgres_dsn, "ALTER TABLE outbox RESET (fillfactor)")
    assert check(postgres_dsn) == ["missing: storage outbox.fillfactor=90"]


def test_check_sees_a_missing_trigger(url: str) -> None:
    upgrade(url)
    on = "" if url.startswith("sqlite") else " ON postings"
    _run(url, f"DROP TRIGGER postings_no_update{on}")
    (line,) = check(url)
    assert line.startswith("missing: trigger postings.postings_no_update")


def _run(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute(statement)
        connection.close()
        return

    async def run() -> None:
        await PostgresBook(url).sql(statement)

    asyncio.run(run())


def test_the_version_the_code_needs_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(script_config()).get_heads() == [HEAD]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_statement_holds_an_empty_line(engine: str) -> None:
    found = ddl.statements(engine)
    assert ddl.split(ddl.join(found)) == found


def test_start_refuses_a_file_without_tables(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    with pytest.raises(StoreRefused, match="there is no database"):
        WriterProcess(path, toys.UNITS, None).start()
    sqlite3.connect(path).close()
    with pytest.raises(StoreRefused, match="no tables of ours"):
        WriterProcess(path, toys.UNITS, None).start()
    upgrade(f"sqlite:///{path}")
    _run(f"sqlite:///{path}", "UPDATE schema_version SET version_num = '0000'")
    with pytest.raises(StoreRefused, match="bianmin db upgrade"):
        WriterProcess(path, toys.UNITS, None).start()


@pytest.mark.postgres
async def test_start_refuses_a_database_without_tables(postgres_dsn: str, postgres: PostgresServer) -> None:
    config = PostgresBook(postgres_dsn).config
    with pytest.raises(StoreRefused, match="no tables of ours"):
        await PostgresStore(config, toys.UNITS, None).open()
    missing = PostgresConfig(hosts=config.hosts, database="nowhere", user="postgres")
    with pytest.raises(StoreRefused, match="nowhere"):
        await PostgresStore(missing, toys.UNITS, None).open()
    closed = PostgresConfig(hosts=("127.0.0.1:1",), database="nowhere", user="postgres")
    with pytest.raises(StoreBusy, match="no connection"):
        await PostgresStore(closed, toys.UNITS, None).open()


@pytest.mark.parametrize("module", ["gateway.store.sqlite.store", "gateway.store.postgres.store"])
def test_the_drivers_load_no_migration_machinery(module: str) -> None:
    code = f"import sys, {module}; print([n for n in ('sqlalchemy', 'alembic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
