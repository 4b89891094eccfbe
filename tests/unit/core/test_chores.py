"""The house's chores: seal chain and day close (M11), outbox, and registry refusals."""

from datetime import date

from certs.core import seals
from gateway.core import chores, items, leases, rows
from gateway.core.held import SEALER, Held
from tests.stand.house import House, code


def seal(house: House, owner: str = "one", **fields: int) -> items.Sealed | items.NotNow:
    """Under the owner's lease; one it does not get is one of the first epoch."""
    got = house.ask(leases.HoldLeases(owner=owner, names=[SEALER]), leases.LeasesHeld).held
    under = got[0] if got else Held(name=SEALER, owner=owner, epoch=1)
    (reply,) = house.batch([items.Seal(under=under, **fields)])
    assert isinstance(reply, items.Sealed | items.NotNow)
    return reply


def test_m11_every_record_is_chained_once_and_the_day_is_closed_by_the_next(house: House) -> None:
    for number in range(5):
        house.pay(biller_account=f"3000{number}")
    assert seal(house, limit=3) == items.Sealed(count=3, unsigned=[])
    assert seal(house) == items.Sealed(count=2, unsigned=[])
    assert seal(house) == items.Sealed(count=0, unsigned=[])
    house.advance(12 * 3600)
    house.pay(biller_account="30009")
    closed = seal(house)
    assert isinstance(closed, items.Sealed)
    ((day, statement),) = closed.unsigned
    first = sorted(house.rows_of(rows.Record, "day = ?", day), key=lambda record: record.position or 0)
    assert (day, [record.position for record in first]) == ("2026-11-24", [1, 2, 3, 4, 5])
    end = seals.GENESIS
    for record in first:
        end = seals.chain(end, record.leaf)
        assert record.chain == end
    root = seals.merkle_root([record.leaf for record in first])
    assert statement == seals.day_statement(date(2026, 11, 24), 5, root, end, seals.GENESIS)
    (next_day,) = house.rows_of(rows.Record, "day = '2026-11-25'")
    assert (next_day.position, next_day.chain) == (1, seals.chain(end, next_day.leaf))
    house.ask(chores.SignDay(day=day, keyid="k", signature=b"s1"), items.Kept)
    house.ask(chores.SignDay(day=day, keyid="k", signature=b"s2"), items.Kept)
    assert [row.signature for row in house.rows_of(rows.Seal)] == [b"s1"]
    house.advance(86_400)
    house.pay(biller_account="30010")
    again = seal(house)
    assert isinstance(again, items.Sealed)
    ((_, second),) = again.unsigned
    hashed = seals.statement_hash(statement)
    root = seals.merkle_root([next_day.leaf])
    assert second == seals.day_statement(date(2026, 11, 25), 1, root, next_day.chain or b"", hashed)


def test_m11_one_sealer_at_a_time(house: House) -> None:
    house.pay()
    assert isinstance(seal(house, "one"), items.Sealed)
    assert isinstance(seal(house, "two"), items.NotNow)
    house.advance(4.999)
    assert isinstance(seal(house, "two"), items.NotNow)
    house.advance(0.001)
    assert isinstance(seal(house, "two"), items.Sealed)
    assert isinstance(seal(house, "one"), items.NotNow)
    assert [lease.fence for lease in house.rows_of(rows.Lease)] == [2]


def test_m11_a_clock_set_back_over_midnight_keeps_the_chains_day(house: House) -> None:
    house.advance(12 * 3600)
    house.pay(biller_account="30001")
    seal(house)
    house.advance(-12 * 3600)
    house.pay(biller_account="30002")
    seal(house)
    days = {(record.day, record.position) for record in house.rows_of(rows.Record)}
    assert days == {("2026-11-25", 1), ("2026-11-25", 2)}


def test_m11_nothing_joins_a_day_that_is_closed(house: House) -> None:
    """The day ended and was closed; then the clock goes back into it."""
    house.pay(biller_account="30001")
    seal(house)
    house.advance(13 * 3600)
    seal(house)
    assert [row.day for row in house.rows_of(rows.Seal)] == ["2026-11-24"]
    house.advance(-13 * 3600)
    house.pay(biller_account="30002")
    house.advance(11)
    seal(house)
    days = {(record.day, record.position) for record in house.rows_of(rows.Record)}
    assert days == {("2026-11-24", 1), ("2026-11-25", 1)}


def test_m11_refusals_and_replies_have_leaves_too(house: House) -> None:
    payment = house.pay()
    house.ask(house.accept(amount_fen=1), items.Refusal)
    house.ask(items.KeepRefused(arrival=house.arrival()), items.Kept)
    house.settle(payment, "Paid", raw=b"reply")
    records = house.rows_of(rows.Record)
    assert sorted(record.kind for record in records) == ["reply", "request", "request", "request"]
    assert len({record.leaf for record in records}) == 4


def test_the_outbox_gives_what_was_not_published(house: House) -> None:
    house.pay(biller_account="30001")
    assert house.ask(items.TakeOutbox(), items.Outbox).messages == []
    house.advance(1)
    (message,) = house.ask(items.TakeOutbox(), items.Outbox).messages
    assert message.topic == "bianmin.request.acme"
    for _ in range(2):
        house.ask(items.MarkPublished(message_ids=[message.message_id, "nobody"]), items.Kept)
    first = house.rows_of(rows.OutboxRow)[0].published_at
    assert first == house.now
    house.advance(5)
    house.ask(items.MarkPublished(message_ids=[message.message_id]), items.Kept)
    assert house.rows_of(rows.OutboxRow)[0].published_at == first
    assert house.ask(items.TakeOutbox(), items.Outbox).messages == []


def test_a_station_is_registered_whole_or_not_at_all(house: House) -> None:
    before = len(house.rows_of(rows.Station))
    for item, slug in (
        (station(house, institution_code=code(1), keyid="aa" * 32), "state-conflict"),
        (station(house, institution_code="4601", keyid="01" * 32), "state-conflict"),
        (station(house, institution_code="4601", keyid="aa" * 32, services=["nobody.bill"]), "service-not-open"),
    ):
        assert house.ask(item, items.Refusal).slug == slug
    assert len(house.rows_of(rows.Station)) == before
    assert house.rows_of(rows.Balance, "institution_code = '4601'") == []


def station(house: House, **changes: object) -> items.AddStation:
    fields: dict[str, object] = {
        "name": "n",
        "terminal_id": "T1",
        "operator_id": "1",
        "operator_name": "o",
        "certificate_der": b"d",
        "public_key_sha256": "pk",
        "not_before": house.now,
        "not_after": house.now + 1,
        "services": [],
        "trained_until": house.now + 1,
    }
    return items.AddStation(**(fields | changes))  # type: ignore[arg-type]  # fields are given by name


def test_a_suspended_station_takes_no_payment_until_it_is_resumed(house: House) -> None:
    house.sql("UPDATE stations SET state = 'SUSPENDED', reason = 'r'")
    assert house.ask(house.accept(), items.Refusal).slug == "station-suspended"
    house.sql("UPDATE stations SET state = 'ACTIVE', reason = NULL")
    assert house.pay().state == "RESERVED"


def test_m9_a_version_of_a_price_is_written_once(house: House) -> None:
    price = items.SetPrices(
        version="V1", service="acme.bill", effective_from="2026-01-01", fee_fen=1, min_fen=1, max_fen=2, rate_ppm=1
    )
    assert house.ask(price, items.Refusal).slug == "state-conflict"
