"""What every test gets: no way out of this machine, none of the product's environment, printed seeds, PostgreSQL."""

import os
import random
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.stand import loopback
from tests.stand.postgres import PostgresServer
from tests.stand.rotation import ROTATED

SOAK = "soak"
# A failure prints the line that runs it again (print_blob); the run's seed is in the header and beside a failure.
# derandomize: said aloud, since hypothesis turns it on where it believes to be on a CI machine.
# A busy machine is no defect: neither time per example nor time to draw one is judged.
_COMMON: Any = {
    "deadline": None,
    "derandomize": False,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
for _name, _examples in (("fast", 50), ("thorough", 1_000), (SOAK, 5_000)):
    settings.register_profile(_name, max_examples=_examples, **_COMMON)

_PRODUCT_ENVIRONMENT = re.compile(r"BIANMIN_(?!TEST_).*|ENGINE|PG[A-Z]+|(?:HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)
_database_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported by a test: the guard, an environment that configures nothing, profile and seed."""
    loopback.install()
    settings.load_profile(_profile(config))
    if config.option.hypothesis_seed is None:  # workers are handed the options, so all share one seed
        config.option.hypothesis_seed = str(random.SystemRandom().getrandbits(32))
    for name in [name for name in os.environ if _PRODUCT_ENVIRONMENT.fullmatch(name)]:
        del os.environ[name]


def _profile(config: pytest.Config) -> str:
    return os.environ.get("HYPOTHESIS_PROFILE") or (SOAK if config.option.markexpr == SOAK else "fast")


def _seed(config: pytest.Config) -> str:
    return f"hypothesis profile: {_profile(config)}, seed: --hypothesis-seed={config.option.hypothesis_seed}"


def pytest_report_header(config: pytest.Config) -> str:
    """The profile in force and the seed that plays this run again."""
    return _seed(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What this run took of what rotates; the seed once more beside what failed."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    drawn = {value for report in reports for name, value in report.user_properties if name == ROTATED}
    for line in sorted(drawn):
        terminalreporter.write_line(f"rotated: {line}")
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(_seed(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m soak` runs every property, with the examples of its profile."""
    if settings.get_current_profile_name() == SOAK:
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker(SOAK)


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


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """host:port of a real Apache Kafka: the one in BIANMIN_TEST_KAFKA, else one of this test process, started when the
    first test asks. Take topics with a prefix of their own (tests.stand.kafka.fresh_prefix); do not stop it."""
    from gateway.demo.kafka_jars import NoKafka  # here: most tests need no client of Kafka
    from tests.stand.kafka import VARIABLE, KafkaBroker

    if given := os.environ.get(VARIABLE):
        yield given
        return
    try:
        broker = KafkaBroker()
    except NoKafka as why:
        pytest.skip(f"no Apache Kafka: {why}")
    with broker:
        yield broker.bootstrap
