"""What every test gets: no way out of this machine, none of the product's environment, printed seeds, PostgreSQL."""

import os
import re
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from tests.stand import loopback
from tests.stand.postgres import PostgresServer

# print_blob: a failure prints the line that runs it again.
settings.register_profile("fast", max_examples=50, deadline=None, print_blob=True)
settings.register_profile(
    "thorough",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

_PRODUCT_ENVIRONMENT = re.compile(r"BIANMIN_.*|ENGINE|PG[A-Z]+|(?:HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)
_database_numbers = count(1)


def pytest_configure() -> None:
    """Before anything is imported by a test: the guard, and an environment that configures nothing."""
    loopback.install()
    for name in [name for name in os.environ if _PRODUCT_ENVIRONMENT.fullmatch(name)]:
        del os.environ[name]


def pytest_report_header() -> str:
    """The profile in force; each failing property prints its own seed."""
    return f"hypothesis profile: {os.environ.get('HYPOTHESIS_PROFILE', 'fast')} (set HYPOTHESIS_PROFILE=thorough)"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL per test process, without fsync, started when the first test asks. Do not stop it: take one of
    your own (`with PostgresServer(...)`) to restart or kill."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres: PostgresServer) -> Iterator[str]:
    """DSN of a fresh, empty database of this test alone, dropped afterwards.

    For one with tables: `postgres.database(name, template=postgres.template("schema", build))`.
    """
    with postgres.database(f"test_{next(_database_numbers)}") as dsn:
        yield dsn
