"""`bianmin db upgrade`: bring a database to the newest version, one runner at a time."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

from gateway.store.migrations.connect import on_connection
from gateway.store.port import StoreRefused
from gateway.store.version import HEAD, SQL, TABLE

LOCK = 0x6269616E6D696E
"""Key of the PostgreSQL advisory lock: `bianmin` in ASCII."""


def upgrade(url: str, ssl: Any = None) -> None:
    """Run every migration the database lacks, all in one transaction.

    url: `sqlite:////absolute/path` (the file is made if it is not there) or `postgresql://user:password@host/name`.
    ssl: for PostgreSQL, as asyncpg takes it.
    Another runner on the same database is waited for, then finds nothing to do. Blocks: not for an event loop.
    Raises StoreRefused where the database is newer than this program.
    """
    on_connection(url, _upgrade, ssl)


def script_config() -> Config:
    """Alembic's configuration: where the migrations are, and nothing else."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    found = _version(connection)
    if found is not None and found > HEAD:
        raise StoreRefused(f"the database is at version {found}, newer than this program, which knows {HEAD}")
    config = script_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(TABLE):
        return None
    return connection.exec_driver_sql(SQL).scalar()
