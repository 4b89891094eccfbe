"""The audit of a copy of a book in which somebody with access to the database has changed something by hand."""

import sqlite3

from gateway.ops.audit import Report, audit_sqlite
from tests.stand.office import Office


def audit_spoilt(office: Office, *statements: str) -> Report:
    """Each statement changes something; triggers and constraints do not stand in its way."""
    path = office.house.path.with_name("copy.db")
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as copy:
        office.house.engine.connection.backup(copy)
    copy.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for kind, name in connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type = 'trigger' OR (type = 'index' AND sql IS NOT NULL)"
    ).fetchall():
        connection.execute(f"DROP {kind} {name}")
    for statement in statements:
        changed = connection.execute(statement).rowcount
        assert changed > 0, statement
    connection.close()
    return audit_sqlite(path, office.house.env, at_ms=office.house.now)
