"""The whole gateway of the fault tests, with its book on PostgreSQL."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

import asyncpg

from gateway.config import build_env, load_config
from gateway.ops.audit.report import Report
from gateway.ops.audit.run import audit
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.snapshot import take_snapshot
from tests.stand.gateway import Stand
from tests.stand.postgres import PostgresServer

BOOK = "bianmin"


class PostgresStand(Stand):
    """A Stand on a database of this server."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        server.create_database(BOOK)
        self.server = server
        where = {"hosts": [f"127.0.0.1:{server.port}"], "database": BOOK, "user": "postgres", "tls": "off"}
        super().__init__(folder, store={"engine": "postgresql", **where})

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Plain SQL beside the gateway."""

        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.server.dsn(BOOK))
            try:
                return [tuple(row) for row in await connection.fetch(text, *values)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def audit(self) -> Report:
        """The oracle."""
        config = load_config(self.config_file, self.adapters)
        own = PostgresConfig(hosts=(f"127.0.0.1:{self.server.port}",), database=BOOK, user="postgres")

        class Database:
            async def snapshot(self, use: Any) -> Any:
                return await take_snapshot(own, use)

        return asyncio.run(audit(Database(), build_env(config, self.adapters)))

    def _await_writer(self) -> None:
        """There is none."""


class BaseBackup:
    """A copy of a whole running server; restore() puts it in the place of a dead one."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._folder = Path(tempfile.mkdtemp(prefix="bianmin-backup-"))
        shutil.chown(self._folder, *_owner(server))
        command = [str(server.tool("pg_basebackup")), "-D", str(self._folder / "data"), "--checkpoint=fast"]
        server.run_program([*command, "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "--no-sync"])

    def restore(self) -> None:
        """The server, which must be down, starts on the copy."""
        data = self._server.data
        shutil.rmtree(data)
        (self._folder / "data").rename(data)
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def _owner(server: PostgresServer) -> tuple[int, int]:
    found = server.data.stat()
    return found.st_uid, found.st_gid
