"""Which schema this code needs; read at start without loading any of the migration machinery."""

from gateway.store.port import StoreRefused

HEAD = "0001"
"""The newest migration. Old code may run on a newer schema (migrations only add), never the other way round."""

TABLE = "schema_version"
SQL = "SELECT version_num FROM schema_version"


def check_version(found: str | None) -> None:
    """StoreRefused unless a database of this version (None: no version at all) serves this code."""
    if found is None:
        raise StoreRefused("the database has no tables of ours: run `bianmin db upgrade`")
    if found < HEAD:
        raise StoreRefused(f"the database is at version {found}, this program needs {HEAD}: run `bianmin db upgrade`")
