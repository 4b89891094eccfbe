"""M11: what the gateway signed and told a terminal is kept, but for what tells of no end and what nobody may ask."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from certs.certificates import Certificate
from certs.core.signatures import holds
from gateway.core import rows
from gateway.core.kept_replies import KeepReplies
from gateway.http import keeping
from gateway.http.keeping import KeptReplies, LostReplies
from gateway.ops.audit.sealed import leaf_of
from gateway.store.port import Snapshot, StoreBusy
from gateway.store.shapes import shape_of
from tests.integration.http.billers import ENV
from tests.integration.http.house import House, entropy
from tests.integration.http.shops import new_key


async def kept_by(house: House) -> tuple[KeptReplies, list[Exception]]:
    failures: list[Exception] = []
    kept = KeptReplies(house.store, ENV, house.services.clock, entropy, lambda _, error: failures.append(error))
    await house.reopen(replied=kept.keep)
    return kept, failures


async def records_of(house: House) -> Sequence[rows.Record]:
    shape = shape_of(rows.Record)

    async def read(snapshot: Snapshot) -> list[Any]:
        sql = f"SELECT {', '.join(shape.names)} FROM records WHERE kind = 'signed-reply' ORDER BY record_id"
        return [shape.build(values) async for part in snapshot.rows(sql) for values in part]

    return await house.store.snapshot(read)


async def test_every_reply_that_tells_an_end_is_kept(any_house: House) -> None:
    house = any_house
    kept, _ = await kept_by(house)
    shop = await house.shop()
    fields: dict[str, Any] = {"key": new_key(), "biller_account": "13900000001"}
    begun = await shop.pay(1000, **fields)
    assert begun.status == 202
    serial = begun.json["gateway_serial"]
    await house.paid(serial, 1000)
    told = [
        await shop.pay(1000, **fields),
        await shop.post("/v1/payment-inquiries", {"idempotency_key": fields["key"]}),
    ]
    told += [await shop.pay(0), await shop.post("/v1/payment-inquiries", {"idempotency_key": new_key()})]
    assert [reply.status for reply in told] == [201, 200, 400, 200]
    assert await records_of(house) == [], "nothing waits for it"
    assert await kept.turn() == keeping.TURN_S
    found = {row.body: row for row in await records_of(house)}
    assert set(found) == {reply.body for reply in told}
    assert [found[reply.body].gateway_serial for reply in told] == [serial, serial, None, None]
    certificate: Certificate = house.pki.reply.certificate
    for row in found.values():
        assert (row.keyid, row.institution_code) == (certificate.keyid, shop.code)
        assert holds(certificate, certificate.alg, row.base, row.signature)
        assert leaf_of(row) == row.leaf
    await kept.turn()
    assert len(await records_of(house)) == 4


async def test_what_is_not_kept(any_house: House) -> None:
    """Reads, and refusals whose request is not kept either: else a replay could fill the book."""
    house = any_house
    kept, _ = await kept_by(house)
    shop = await house.shop()
    request = shop.sign("POST", "/v1/payment-inquiries", b'{"idempotency_key":"abcdefghijklmnop"}')
    assert (await shop.send(request)).status == 200
    for _ in range(3):
        assert (await shop.send(request)).slug == "nonce-replayed"
    late = int(datetime.now(UTC).timestamp()) - 400
    assert (await shop.post("/v1/payment-inquiries", {"idempotency_key": new_key()}, created=late)).status >= 400
    assert (await shop.get("/v1/account")).status == 200
    await kept.flush()
    assert len(await records_of(house)) == 1


async def test_a_book_that_is_away_loses_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait; beyond a number they are lost, and that is told."""
    kept, failures = await kept_by(house)
    shop = await house.shop()
    run = house.store.run

    async def away(item: Any) -> Any:
        if isinstance(item, KeepReplies):
            await run(item)  # committed, and its answer lost
            raise StoreBusy("away")
        return await run(item)

    async def ask() -> None:
        assert (await shop.post("/v1/payment-inquiries", {"idempotency_key": new_key()})).status == 200

    monkeypatch.setattr(house.store, "run", away)
    monkeypatch.setattr(keeping, "WAITING_MAX", 3)
    for _ in range(4):
        await ask()
    with pytest.raises(StoreBusy):
        await kept.turn()
    await kept.flush()
    monkeypatch.setattr(house.store, "run", run)
    await kept.turn()
    assert len(await records_of(house)) == 3
    assert [type(error) for error in failures] == [LostReplies, StoreBusy]
