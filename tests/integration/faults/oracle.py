"""What must be so after every fault: the audit is clean, both books agree to the fen and order by order, and every
payment that a proven reply promised is there once."""

import asyncio
from typing import Any

import msgspec

from gateway.config import build_env, load_config
from gateway.core.allowances import shares_of
from gateway.ops.audit.report import Report
from gateway.ops.audit.run import audit
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.snapshot import take_snapshot
from tests.integration.bus.parts import whole_topic
from tests.integration.faults.cluster import BOOK, Cluster
from tests.integration.faults.traffic import Load
from tests.integration.faults.waiting import until_so

SETTLE_S = 300.0
NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def check(cluster: Cluster, load: Load) -> None:
    """All of it. Waits until nothing is undecided that can be decided."""
    cluster.heal()
    cluster.settle(SETTLE_S)
    within_limits(cluster)
    check_audit(cluster)
    assert cluster.our_book() == cluster.their_book()
    check_promises(cluster, load)
    check_doubts(cluster, load)
    check_outbox(cluster)


def audited(cluster: Cluster) -> Report:
    """The audit's report on the server that is the primary now."""
    config = load_config(cluster.config_file, cluster.adapters)
    own = PostgresConfig(hosts=(f"127.0.0.1:{cluster.server.port}",), database=BOOK, user="postgres")

    class Database:
        async def snapshot(self, use: Any) -> Any:
            return await take_snapshot(own, use)

    return asyncio.run(audit(Database(), build_env(config, cluster.adapters)))


def check_audit(cluster: Cluster) -> None:
    """The book is sound."""
    report = audited(cluster)
    assert report.ok, msgspec.json.encode(report).decode()


def check_promises(cluster: Cluster, load: Load) -> None:
    """Each key its one payment, as told; SUCCESS that was told stays; nobody was left without an answer."""
    assert not load.unanswered, f"{len(load.unanswered)} terminals gave up: {sorted(load.unanswered)[:3]}"
    assert not load.refused, f"refused: {dict(list(load.refused.items())[:3])}"
    sql = "SELECT idempotency_key, gateway_serial, state FROM payments WHERE idempotency_key LIKE $1"
    rows = cluster.sql(sql, f"{load.mark}-%")
    found = {key: serial for key, serial, _ in rows}
    assert len(found) == len(rows), "a key has two payments"
    assert {key: found.get(key) for key in load.told} == load.told
    states = {key: state for key, _, state in rows}
    assert {states[key] for key in load.ended} <= {"SUCCESS"}


def check_doubts(cluster: Cluster, load: Load) -> None:
    """In doubt was only what had a call: never a payment that merely waited."""
    sql = (
        "SELECT count(*) FROM payments p WHERE p.in_doubt_since IS NOT NULL AND p.idempotency_key LIKE $1"
        " AND NOT EXISTS (SELECT 1 FROM orders o JOIN attempts a ON a.order_serial = o.order_serial"
        " WHERE o.gateway_serial = p.gateway_serial)"
    )
    assert cluster.one(sql, f"{load.mark}-%") == 0


def check_outbox(cluster: Cluster) -> None:
    """Every message leaves, and what is marked as published lies in its topic."""
    waiting = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
    until_so(lambda: cluster.one(waiting) == 0, "the outbox is empty")
    kafka = cluster.bus_config()

    async def lying() -> set[str]:
        topics = [topic for topic in kafka.topics(["telecom"]) if topic != kafka.dead_letter_topic]
        records = [record for topic in topics for record in await whole_topic(kafka, topic)]
        return {dict(record.headers).get("message_id", b"").decode() for record in records}

    ids = {message_id for (message_id,) in cluster.sql("SELECT message_id FROM outbox")}
    lost = ids - cluster.traffic.do(lying())
    assert not lost, f"{len(lost)} messages are marked as published and lie in no topic: {sorted(lost)[:3]}"


def within_limits(cluster: Cluster) -> None:
    """All processes together may call the biller as often as its manifest allows.

    Orders in flight by the book may be more: a slot is free when the biller has answered, not when that is saved.
    """
    manifest = cluster.adapters["telecom"].manifest
    dealt = cluster.sql(
        "SELECT share, sum(concurrency), sum(rate_per_s) FROM allowances"
        f" WHERE worker <> '' AND expires_at > {NOW_MS} GROUP BY share"
    )
    sizes = shares_of(manifest)
    for share, concurrency, rate_per_s in dealt:
        rows = cluster.sql(f"SELECT *, {NOW_MS} AS now FROM allowances ORDER BY share, worker")
        assert concurrency <= sizes[share].concurrency, f"{share}: {concurrency} at once: {rows}"
        assert rate_per_s <= sizes[share].rate_per_s, f"{share}: {rate_per_s} per second: {rows}"
