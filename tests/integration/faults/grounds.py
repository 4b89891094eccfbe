"""The servers that a cluster stands on: a PostgreSQL alone, or one whose stand-by holds every commit."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.integration.faults.cluster import Ground
from tests.integration.faults.waiting import until_so
from tests.stand.kafka import KafkaBroker
from tests.stand.postgres import PostgresServer
from tests.stand.standby import StandbyServer, follows


@contextmanager
def plain(kafka: KafkaBroker) -> Iterator[Ground]:
    """One server with fsync on."""
    with PostgresServer(durable=True) as server:
        yield Ground(server, kafka)


@contextmanager
def replicated(kafka: KafkaBroker) -> Iterator[Ground]:
    """A primary that waits for its stand-by; the stand-by will wait for a third once it is promoted."""
    with ExitStack() as stack:
        first = stack.enter_context(PostgresServer(durable=True))
        second = stack.enter_context(StandbyServer(first, "second", settings={"synchronous_standby_names": "third"}))
        third = stack.enter_context(StandbyServer(second, "third"))
        first.run_sql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        first.run_sql("SELECT pg_reload_conf()")
        until_so(lambda: follows(first, "second", "sync"), "the stand-by follows")
        until_so(lambda: second.run_sql("SELECT count(*) FROM pg_stat_replication") == "1", "the third follows")
        yield Ground(first, kafka, standbys=[f"127.0.0.1:{server.port}" for server in (second, third)], second=second)
