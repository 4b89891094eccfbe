"""The same evidence out of PostgreSQL: whole days, one payment, verified again and by strangers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from gateway.core import rows
from gateway.ops.audit.days import Span, Trust, verify_days
from gateway.ops.evidence.collect import collect
from gateway.ops.evidence.day import write_day
from gateway.ops.evidence.write import write_bundle
from gateway.ops.whole import WholeBook
from gateway.store.migrations.upgrade import upgrade
from gateway.store.port import Snapshot
from gateway.store.postgres.config import PostgresConfig
from gateway.store.postgres.snapshot import take_snapshot
from gateway.store.shapes import all_shapes
from tests.stand.postgres import PostgresServer
from tests.stand.signed_house import SignedHouse, verify

DAY = "2026-11-24"
pytestmark = pytest.mark.postgres


@pytest.fixture
def dsn(postgres: PostgresServer) -> Iterator[str]:
    """An empty book; made outside of any event loop, because migrations run one of their own."""
    with postgres.database("evidence", template=postgres.template("schema-audit", upgrade)) as found:
        yield found


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[SignedHouse]:
    made = SignedHouse(tmp_path)
    made.publish(1)
    made.pay(10_001)
    made.pay(10_002)
    made.close_day()
    yield made
    made.house.close()


@pytest.fixture
async def book(dsn: str, signed: SignedHouse) -> AsyncIterator[tuple[PostgresConfig, Any]]:
    """The house's rows in PostgreSQL."""
    connection = await asyncpg.connect(dsn)
    for shape in all_shapes():
        names = ", ".join(shape.names)
        marks = ", ".join(f"${at}" for at in range(1, len(shape.names) + 1))
        found = signed.house.sql(f"SELECT {names} FROM {shape.table}")
        await connection.executemany(f"INSERT INTO {shape.table} ({names}) VALUES ({marks})", found)
    url = make_url(dsn)
    config = PostgresConfig(
        hosts=(f"{url.host}:{url.port}",), database=str(url.database), user=str(url.username),
        password=str(url.password) if url.password else None,
    )  # fmt: skip
    yield config, connection
    await connection.close()


async def test_evidence_and_days(book: tuple[PostgresConfig, Any], signed: SignedHouse, tmp_path: Path) -> None:
    config, connection = book
    trust = signed.trust()
    serial = signed.house.rows_of(rows.Payment)[0].gateway_serial
    ca = Trust([one.certificate for one in signed.issuings], signed.bureau.root.certificate)

    async def use(snapshot: Snapshot) -> Any:
        whole = WholeBook(snapshot)
        await write_day(whole, DAY, tmp_path / "day", **trust)
        bundle = await collect(whole, serial)
        assert bundle is not None
        await write_bundle(whole, bundle, tmp_path / "payment", **trust)
        return await verify_days(whole, Span(first=DAY, last=DAY, signatures=True), ca)

    report = await take_snapshot(config, use)
    assert report.ok, report.text()
    assert {check.name: check.rows for check in report.checks}["records"] == 5
    for name in ("day", "payment"):
        code, said = verify(tmp_path / name)
        assert code == 0, said
        assert "[key: ACTIVE, list 1]" in said
    await asyncio.to_thread(signed.write_day, DAY, tmp_path / "sqlite")
    assert (tmp_path / "day" / "SHA256SUMS").read_bytes() == (tmp_path / "sqlite" / "SHA256SUMS").read_bytes()

    await connection.execute("ALTER TABLE records DISABLE TRIGGER USER")
    (target,) = await connection.fetch("UPDATE records SET body = 'x'::bytea WHERE position = 2 RETURNING record_id")

    async def again(snapshot: Snapshot) -> Any:
        return await verify_days(WholeBook(snapshot), Span(first=DAY, last=DAY), ca)

    report = await take_snapshot(config, again)
    assert [(one.about) for check in report.checks for one in check.violations] == [target["record_id"]]
