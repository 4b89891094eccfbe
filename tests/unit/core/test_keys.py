"""One key, one effect (M3); a tombstone and its request in both orders (M6); redo after a lost commit; nonces."""

import itertools
from typing import Any

import msgspec
import pytest

from gateway.core import chores, items, rows
from gateway.core.admit import NONCE_FLOOR
from tests.stand.house import House, code
from tests.unit.core.oracle import violations

KEY = "key-0000000000000001"


def counted(house: House) -> dict[str, int]:
    """Rows per table that an item may write."""
    kinds = (
        rows.Payment,
        rows.Order,
        rows.Key,
        rows.Nonce,
        rows.Record,
        rows.OutboxRow,
        rows.Posting,
        rows.EvidenceRow,
    )
    found = {kind.__name__: len(house.rows_of(kind)) for kind in kinds}
    return found | {"Transaction": len(house.rows_of(rows.Transaction)), "Token": len(house.rows_of(rows.QueryToken))}


def test_m3_the_same_request_is_the_same_payment_as_it_is_now(house: House) -> None:
    item = house.accept(key=KEY)
    first = house.ask(item, items.Taken)
    assert not first.replayed
    house.settle(first.payment)
    again = house.ask(msgspec.structs.replace(item, arrival=house.arrival()), items.Taken)
    assert again.replayed
    assert again.payment == house.now_of(first.payment)
    assert again.payment.state == "SUCCESS"
    assert len(house.rows_of(rows.Payment)) == 1


def test_m3_another_request_under_the_key_is_refused(house: House) -> None:
    house.ask(house.accept(key=KEY), items.Taken)
    assert house.ask(house.accept(key=KEY, amount_fen=9_999), items.Refusal).slug == "key-reused"
    cancel = house.keyed(
        items.Cancel, key=KEY, gateway_serial=house.rows_of(rows.Payment)[0].gateway_serial, reason="r"
    )
    assert house.ask(cancel, items.Refusal).slug == "key-reused"  # one key space over all routes
    (key,) = house.rows_of(rows.Key)
    assert key.kind == "PAYMENT"


def test_m3_keys_are_scoped_by_station(house: House) -> None:
    one = house.ask(house.accept(1, key=KEY), items.Taken).payment
    two = house.ask(house.accept(2, key=KEY, biller_account="10002"), items.Taken).payment
    assert one.gateway_serial != two.gateway_serial


@pytest.mark.parametrize("same", [True, False])
def test_m3_two_arrivals_of_a_key_in_one_batch(house: House, same: bool) -> None:
    first = house.accept(key=KEY)
    second = house.accept(key=KEY, amount_fen=10_000 if same else 9_999)
    replies = house.batch([first, second])
    if same:
        assert [reply.replayed for reply in replies] == [False, True]
    else:
        assert replies[1].slug == "key-reused"
    assert violations(house) == []
    assert house.balance() == (489_900, 10_100, 0)


def test_m6_the_tombstone_first(house: House) -> None:
    late = house.accept(key=KEY)
    found = house.ask(items.Inquire(arrival=house.arrival(), key=KEY), items.Inquired)
    assert (found.taken, found.refusal) == (None, None)
    assert house.ask(late, items.Refusal).slug == "tombstoned"
    assert house.ask(items.Inquire(arrival=house.arrival(), key=KEY), items.Inquired).taken is None
    assert house.balance() == (500_000, 0, 0)
    assert [key.kind for key in house.rows_of(rows.Key)] == ["TOMBSTONE"]


def test_m6_the_request_first(house: House) -> None:
    payment = house.ask(house.accept(key=KEY), items.Taken).payment
    found = house.ask(items.Inquire(arrival=house.arrival(), key=KEY), items.Inquired)
    assert found.taken is not None
    assert found.taken.payment == payment
    assert [key.kind for key in house.rows_of(rows.Key)] == ["PAYMENT"]


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1))))
def test_m6_both_in_one_commit(house: House, order: tuple[int, int]) -> None:
    """Whichever unit runs first wins the row; the other sees it."""
    pair = [house.accept(key=KEY), items.Inquire(arrival=house.arrival(), key=KEY)]
    replies = house.batch([pair[at] for at in order])
    paid = [reply for reply in replies if isinstance(reply, items.Taken)]
    if order == (0, 1):
        assert len(paid) == 1
        assert replies[1].taken.payment == paid[0].payment
    else:
        assert replies[0].taken is None
        assert replies[1].slug == "tombstoned"
    assert len(house.rows_of(rows.Payment)) == len(paid)


def test_m6_another_stations_inquiry_finds_nothing_and_bars_nothing(house: House) -> None:
    house.ask(items.Inquire(arrival=house.arrival(2), key=KEY), items.Inquired)
    assert house.pay(key=KEY).state == "RESERVED"


def test_a_401_or_503_leaves_the_key_free(house: House) -> None:
    house.ask(house.accept(key=KEY, closed_for_s=5), items.Refusal)
    house.ask(house.accept(key=KEY, arrival=house.arrival(keyid="ee" * 32)), items.Refusal)
    assert house.rows_of(rows.Key) == []
    assert house.pay(key=KEY).state == "RESERVED"


def test_m3_a_key_outlives_its_payment(house: House) -> None:
    """A key whose payment was archived never buys again, and is never taken for a tombstone."""
    item = house.accept(key=KEY)
    house.ask(item, items.Taken)
    house.engine.connection.execute("PRAGMA foreign_keys = OFF")
    for table in ("orders", "payments"):
        house.engine.connection.execute(f"INSERT INTO archive_{table} SELECT * FROM {table}")
        house.engine.connection.execute(f"DELETE FROM {table}")
    again = house.ask(msgspec.structs.replace(item, arrival=house.arrival()), items.Taken)
    assert (again.payment.idempotency_key, again.replayed) == (KEY, True)
    found = house.ask(items.Inquire(arrival=house.arrival(), key=KEY), items.Inquired)
    assert found.taken is not None
    assert house.rows_of(rows.Payment) == []
    asked = house.keyed(items.Cancel, gateway_serial=again.payment.gateway_serial, reason="按错")
    assert house.ask(asked, items.Refusal).slug == "state-conflict"


def test_m3_a_key_whose_payment_is_nowhere_never_buys_again(house: House) -> None:
    """As a ruined book may have it."""
    item = house.accept(key=KEY)
    house.ask(item, items.Taken)
    house.engine.connection.execute("PRAGMA foreign_keys = OFF")
    for trigger in ("payments_no_delete", "orders_no_delete"):
        house.engine.connection.execute(f"DROP TRIGGER {trigger}")
    for table in ("orders", "payments"):
        house.engine.connection.execute(f"DELETE FROM {table}")
    again = house.ask(msgspec.structs.replace(item, arrival=house.arrival()), items.Refusal)
    assert again.slug == "not-found"
    found = house.ask(items.Inquire(arrival=house.arrival(), key=KEY), items.Inquired)
    assert found.refusal is not None


def makers(house: House) -> dict[str, Any]:
    """One item of every signed kind, ready to be sent twice."""
    paid = house.settle(house.pay(biller_account="80001"))
    refundable = house.settle(house.pay(biller_account="80002"))
    card = house.settle(house.pay(service="meters.card", biller_account="80003"))
    house.pay(biller_account="80004")
    return {
        "accept": house.accept(biller_account="80005"),
        "accept refused": house.accept(amount_fen=1),
        "repeat refused": house.accept(biller_account="80004"),
        "cancel": house.keyed(items.Cancel, gateway_serial=paid.gateway_serial, reason="r"),
        "refund": house.keyed(items.Refund, gateway_serial=refundable.gateway_serial, amount_fen=7, reason="r"),
        "write": house.keyed(items.ReportWrite, gateway_serial=card.gateway_serial, written=True),
        "inquire": items.Inquire(arrival=house.arrival(), key="key-nobody-sent-0001"),
        "bill": items.AskBill(arrival=house.arrival(), service="acme.bill", biller_account="80001"),
        "kept": items.KeepRefused(arrival=house.arrival()),
    }


@pytest.mark.parametrize("later_ms", [0, 1, 5_000])
def test_a_redo_after_a_lost_commit_writes_nothing_twice(house: House, later_ms: int) -> None:
    """design s7: what was written is recognised by its arrival, in the very same millisecond too."""
    asked = makers(house)
    first = {name: house.batch([item])[0] for name, item in asked.items()}
    before = counted(house)
    house.now += later_ms
    for name, item in asked.items():
        (again,) = house.batch([item])
        assert type(again) is type(first[name]), name
        assert getattr(again, "payment", None) == getattr(first[name], "payment", None), name
        assert getattr(again, "slug", None) == getattr(first[name], "slug", None), name
        assert getattr(again, "query", None) == getattr(first[name], "query", None), name
    assert counted(house) == before
    assert violations(house) == []


def test_a_redo_beside_its_first_in_one_batch_is_decided_once(house: House) -> None:
    for name, item in makers(house).items():
        replies = house.batch([item, item])
        assert replies[0] == replies[1], name
    assert violations(house) == []


@pytest.mark.parametrize("source", ["reply", "query", "notice", "file"])
@pytest.mark.parametrize("kind", ["Paid", "Declined", "Unknown", "NotSent", "Accepted"])
def test_evidence_done_again_writes_nothing_twice(house: House, source: str, kind: str) -> None:
    payment = house.pay()
    granted = house.send(payment)
    item = house.reply_of(granted, kind, paid_fen=10_000, biller_serial="B", raw=b"raw")
    if source != "reply":
        item = house.evidence(granted.order, kind, source=source, paid_fen=10_000, biller_serial="B", raw=b"raw")
    first = house.ask(item, items.Judged)
    before, state = counted(house), house.now_of(payment)
    for later in (0, 1_000):
        house.now += later
        again = house.ask(item, items.Judged)
        assert (again.effect, again.again) == ("redone", first.again)
    assert counted(house) == before
    assert house.now_of(payment) == state
    assert violations(house) == []


def test_a_nonce_is_good_once(house: House) -> None:
    item = house.accept(arrival=house.arrival(nonce="nonce-nonce-nonce"))
    house.ask(item, items.Taken)
    replay = msgspec.structs.replace(item, arrival=house.arrival(nonce="nonce-nonce-nonce"))
    assert house.ask(replay, items.Refusal).slug == "nonce-replayed"
    other = house.accept(2, arrival=house.arrival(2, nonce="nonce-nonce-nonce"), biller_account="9999")
    assert house.ask(other, items.Taken).payment.institution_code == code(2)
    assert len(house.rows_of(rows.Record)) == 2


def test_two_arrivals_with_one_nonce_in_one_batch(house: House) -> None:
    asked = [
        house.accept(arrival=house.arrival(nonce="nonce-nonce-nonce"), biller_account=account)
        for account in ("1111", "2222")
    ]
    replies = house.batch(asked)
    assert [getattr(reply, "slug", None) for reply in replies] == [None, "nonce-replayed"]


@pytest.mark.parametrize("shift", [-300, 60])
def test_a_nonce_is_found_in_the_neighbouring_bucket(house: House, shift: int) -> None:
    hour = -(-house.now // 3_600_000) * 3600 + 3600
    house.now = (hour - 1) * 1000 if shift > 0 else (hour + 1) * 1000
    first = house.arrival(nonce="nonce-nonce-nonce")
    house.ask(house.accept(arrival=first), items.Taken)
    created = first.created + shift
    second = house.arrival(nonce="nonce-nonce-nonce", created=created, expires=created + 300)
    assert created // 3600 != first.created // 3600
    refusal = house.ask(house.accept(arrival=second, biller_account="2222"), items.Refusal)
    assert refusal.slug == "nonce-replayed"


def test_the_purge_raises_a_floor_that_no_clock_lowers(house: House) -> None:
    old = house.arrival(nonce="nonce-nonce-nonce")
    house.ask(house.accept(arrival=old), items.Taken)
    start = house.now
    house.advance(3 * 3600)
    recent = house.arrival(nonce="nonce-of-recently")
    house.ask(house.accept(arrival=recent, biller_account="3333"), items.Taken)
    house.ask(chores.ForgetOld(), items.Kept)
    assert [nonce.nonce for nonce in house.rows_of(rows.Nonce)] == ["nonce-of-recently"]
    (floor,) = house.rows_of(rows.Setting, "name = ?", NONCE_FLOOR)
    assert old.created * 1000 < floor.value < recent.created * 1000
    house.now = start  # a clock set back
    replay = house.accept(arrival=house.arrival(nonce="nonce-nonce-nonce", created=old.created), biller_account="4444")
    assert house.ask(replay, items.Refusal).slug == "signature-expired"
    house.ask(chores.ForgetOld(), items.Kept)
    assert house.rows_of(rows.Setting, "name = ?", NONCE_FLOOR) == [floor]


def test_a_created_at_the_floor_is_refused(house: House) -> None:
    now = house.now // 1000
    house.engine.connection.execute("INSERT INTO settings (name, value) VALUES (?, ?)", (NONCE_FLOOR, now * 1000))
    assert house.ask(house.accept(), items.Refusal).slug == "signature-expired"
    house.advance(1)
    assert house.pay().state == "RESERVED"


def test_m3_a_known_key_answers_while_its_biller_is_closed(house: House) -> None:
    """503 is for new payments; the terminal's repeat of a taken one gets the payment as it is now."""
    first = house.accept(1, key="known-key-000000000001")
    payment = house.ask(first, items.Taken).payment
    again = msgspec.structs.replace(first, arrival=house.arrival(1), closed_for_s=30)
    replayed = house.ask(again, items.Taken)
    assert (replayed.payment, replayed.replayed) == (payment, True)
    other = msgspec.structs.replace(house.accept(1, biller_account="10002"), closed_for_s=30)
    assert house.ask(other, items.Refusal).slug == "biller-closed"
