"""Where the servers are, and what their errors mean."""

import asyncpg
import msgspec
import pytest

from gateway.store.plan import Raced
from gateway.store.port import LostRace, StoreBusy, StoreFull, StoreRefused, UnitFailed
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.faults import Fault, as_store_error, classify
from gateway.store.version import HEAD, check_version

PLAIN = PostgresConfig(hosts=("pg-1",), database="b", user="u")


def test_addresses_name_every_server_that_may_be_the_primary() -> None:
    config = msgspec.structs.replace(PLAIN, hosts=("pg-1:6432",), standby_hosts=("pg-2", "[::1]:5433"))
    assert config.addresses() == (["pg-1", "pg-2", "::1"], [6432, 5432, 5433])


def test_a_url_holds_what_it_must_escape() -> None:
    config = msgspec.structs.replace(PLAIN, user="a b", password="p@:/", database="x y")
    assert config.url() == "postgresql://a%20b:p%40%3A%2F@pg-1:5432/x%20y"
    several = msgspec.structs.replace(PLAIN, standby_hosts=("pg-2:1",))
    assert several.url() == "postgresql://u@/b?host=pg-1:5432&host=pg-2:1"


@pytest.mark.parametrize("wrong", [{"hosts": ()}, {"connections": 0}, {"lock_ms": 0}, {"batch_max": -1}])
def test_what_could_never_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"store\."):
        PostgresConfig(**{"hosts": ("h",), "database": "b", "user": "u", **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["pg:0", "pg:x", "pg:65536", "pg:１"])
def test_a_port_is_a_port(host: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        msgspec.structs.replace(PLAIN, hosts=(host,)).addresses()


def test_every_time_out_is_set() -> None:
    settings = PLAIN.server_settings("write")
    assert {"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} <= set(settings)
    assert "0" not in {settings[name] for name in settings if name.endswith("_timeout")}


FAULTS = [
    (asyncpg.UniqueViolationError("x"), Fault.RACE, LostRace),
    (Raced("payments"), Fault.RACE, LostRace),
    (asyncpg.SerializationError("x"), Fault.RETRY, StoreBusy),
    (asyncpg.DeadlockDetectedError("x"), Fault.RETRY, StoreBusy),
    (asyncpg.LockNotAvailableError("x"), Fault.LOCKED, StoreBusy),
    (asyncpg.QueryCanceledError("x"), Fault.BUSY, StoreBusy),
    (asyncpg.TooManyConnectionsError("x"), Fault.BUSY, StoreBusy),
    (asyncpg.DiskFullError("x"), Fault.FULL, StoreFull),
    (asyncpg.AdminShutdownError("x"), Fault.LOST, StoreBusy),
    (asyncpg.ReadOnlySQLTransactionError("x"), Fault.LOST, StoreBusy),
    (asyncpg.ConnectionDoesNotExistError("x"), Fault.LOST, StoreBusy),
    (asyncpg.InterfaceError("connection is closed"), Fault.LOST, StoreBusy),
    (ConnectionResetError(), Fault.LOST, StoreBusy),
    (TimeoutError(), Fault.LOST, StoreBusy),
    (asyncpg.CheckViolationError("x"), Fault.BUG, UnitFailed),
    (asyncpg.ForeignKeyViolationError("x"), Fault.BUG, UnitFailed),
    (asyncpg.DataError("x"), Fault.BUG, UnitFailed),
    (KeyError("x"), Fault.BUG, UnitFailed),
    (ValueError("x"), Fault.BUG, UnitFailed),
]


@pytest.mark.parametrize(("error", "fault", "seen"), FAULTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_error_has_its_meaning(error: Exception, fault: Fault, seen: type[Exception]) -> None:
    assert classify(error) is fault
    found = as_store_error(error)
    assert type(found) is seen
    assert not found.in_doubt
    # Once a commit may have been made, no later fault makes the item certain again.
    doubt = as_store_error(error, in_doubt=True)
    assert isinstance(doubt, StoreBusy)
    assert doubt.in_doubt


def test_unsafe_settings_after_a_fail_over_are_busy_for_callers() -> None:
    assert isinstance(as_store_error(StoreRefused("synchronous_commit is off")), StoreBusy)


def test_old_code_runs_on_a_newer_schema_only() -> None:
    check_version(HEAD)
    check_version("0999")
    for old in (None, "0000"):
        with pytest.raises(StoreRefused, match="bianmin db upgrade"):
            check_version(old)
