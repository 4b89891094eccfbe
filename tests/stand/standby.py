"""Stand-bys for a test's PostgreSQL, made with `pg_basebackup`, and promoted by hand."""

from collections.abc import Mapping

from tests.stand.postgres import SUPERUSER, PostgresServer


class StandbyServer(PostgresServer):
    """Follows `upstream` from its start until promote(). name: what the upstream calls it when it waits for it.

    As durable as its upstream; settings: more lines of postgresql.conf, such as its own synchronous_standby_names,
    which count once it is promoted.
    """

    def __init__(self, upstream: PostgresServer, name: str, *, settings: Mapping[str, str] | None = None) -> None:
        durable = upstream.settings["fsync"] == "on"
        super().__init__(durable=durable, settings=settings)
        self._upstream = upstream
        self.settings["primary_conninfo"] = (
            f"host=127.0.0.1 port={upstream.port} user={SUPERUSER} application_name={name}"
        )

    def promote(self) -> None:
        """Become a primary, on the next timeline; returns when it accepts writes."""
        if self.run_sql("SELECT pg_promote(true, 30)") != "t":
            raise RuntimeError(f"the stand-by is not promoted:\n{self.log[-2000:]}")

    def _make_data(self) -> None:
        command = [str(self.tool("pg_basebackup")), "-D", str(self.data), "--checkpoint=fast", "--wal-method=stream"]
        command += ["-h", "127.0.0.1", "-p", str(self._upstream.port), "-U", SUPERUSER, "--no-sync"]
        self.run_program(command)
        # Not -R: it writes postgresql.auto.conf, which start() makes.
        self.run_program(["touch", str(self.data / "standby.signal")])


def follows(primary: PostgresServer, name: str, state: str) -> bool:
    """Whether a stand-by of this name streams from `primary` as `sync`, `quorum` or `async`."""
    sql = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND sync_state = '{state}'"
    return primary.run_sql(f"{sql} AND state = 'streaming'") == "1"


def run_rewind(server: PostgresServer, source: PostgresServer) -> None:
    """Turn a stopped old primary into what can follow `source` (pg_rewind)."""
    target = f"host=127.0.0.1 port={source.port} user={SUPERUSER} dbname={SUPERUSER}"
    command = [str(server.tool("pg_rewind")), "-D", str(server.data), f"--source-server={target}", "--no-sync"]
    server.run_program(command)
