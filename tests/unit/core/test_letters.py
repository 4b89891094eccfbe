"""Dead letters in the book: kept once, put apart where nobody can read them, judged by the book, moved by deeds."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core import items, rows
from gateway.core.letters import (
    BODY_MAX,
    HEADERS_MAX,
    FoundLetter,
    JudgeLetters,
    KeepLetters,
    LettersJudged,
)
from gateway.core.verdicts import LOOP_MAX
from tests.stand.house import House, code
from tests.stand.office import Office
from tests.unit.core.cohort import PLACES, bring


def body_of(house: House, order: rows.Order, **changes: str) -> bytes:
    """The message that went out for an order, or one that differs."""
    ((payload,),) = house.sql(
        "SELECT payload FROM outbox WHERE topic LIKE '%.request.%' AND instr(payload, ?) > 0"
        " ORDER BY message_id LIMIT 1",
        f'"order_serial":"{order.order_serial}"'.encode(),
    )
    return json.dumps(json.loads(payload) | changes).encode() if changes else bytes(payload)


def found(body: bytes, origin: str = "kafka:t/0/1@5", **changes: Any) -> FoundLetter:
    values: dict[str, Any] = {"topic": "bianmin.request.acme", "key": "10001", "body": body, "reason": "replayed"}
    return FoundLetter(origin=origin, **(values | changes))


def keep(house: House, *letters: FoundLetter) -> int:
    return house.ask(KeepLetters(letters=list(letters), entropy=house.entropy()), items.Kept).count


def letter_about(house: House, order: rows.Order, **changes: Any) -> rows.DeadLetter:
    """One more letter with the message of an order."""
    origin = f"kafka:t/0/{len(house.rows_of(rows.DeadLetter))}@5"
    assert keep(house, found(body_of(house, order), origin, **changes)) == 1
    (letter,) = house.rows_of(rows.DeadLetter, "origin = ?", origin)
    return letter


def verdicts(house: House, **filters: Any) -> dict[str, str]:
    judged = house.look(JudgeLetters(**filters), LettersJudged)
    return {one.letter.letter_id: one.verdict for one in judged.letters}


def verdict(house: House, order: rows.Order) -> str:
    letter = letter_about(house, order)
    return verdicts(house, letter_ids=[letter.letter_id])[letter.letter_id]


def test_a_letter_is_kept_once_with_what_the_book_says(house: House) -> None:
    payment = house.pay()
    body = body_of(house, house.order_of(payment))
    letter = found(body, headers=[("reason", "replayed"), ("trace", "t")], buried_at=7, worker="w-9")
    assert keep(house, letter, letter) == 1
    assert keep(house, letter) == 0
    (row,) = house.rows_of(rows.DeadLetter)
    assert (row.body, row.message, row.gateway_serial, row.order_kind) == (body, "order", payment.gateway_serial, "PAY")
    assert (row.biller, row.institution_code, row.biller_account) == ("acme", code(1), "10001")
    assert (row.amount_fen, row.state, row.buried_at, row.worker, row.runs) == (10_000, "OPEN", 7, "w-9", 0)
    assert json.loads(row.headers) == [["reason", "replayed"], ["trace", "t"]]


@pytest.mark.parametrize("reason", ["malformed", "oversized", "unknown-version", "nobody knows this reason"])
def test_what_nobody_can_read_is_born_in_quarantine(house: House, reason: str) -> None:
    keep(house, found(b"\x00\xff garbage", reason=reason, key="k\x00", topic="t\x00"))
    (row,) = house.rows_of(rows.DeadLetter)
    assert (row.state, row.message, row.key, row.biller) == ("QUARANTINED", None, "k\ufffd", None)
    assert set(verdicts(house, states="OPEN+QUARANTINED").values()) == {"MALFORMED"}
    assert verdicts(house) == {}


def test_serials_of_a_message_that_cannot_be_read_are_found_all_the_same(house: House) -> None:
    payment = house.pay()
    body = body_of(house, house.order_of(payment), send_before="yesterday")
    keep(house, found(body, reason="malformed"))
    (row,) = house.rows_of(rows.DeadLetter)
    assert (row.message, row.gateway_serial, row.amount_fen) == (None, payment.gateway_serial, 10_000)
    assert (row.biller, row.biller_account) == ("acme", "10001")


def test_what_is_too_long_is_cut_and_told(house: House) -> None:
    letter = found(
        b"x" * (BODY_MAX + 1), reason="oversized", key="k" * 5_000, headers=[(f"h{n}", "v" * 900) for n in range(99)]
    )
    keep(house, letter)
    (row,) = house.rows_of(rows.DeadLetter)
    assert (len(row.body), len(row.key)) == (BODY_MAX, 1_024)
    assert len(row.headers) <= HEADERS_MAX
    assert json.loads(row.headers)[0] == ["body_bytes", str(BODY_MAX + 1)]


def test_a_letter_never_changes_and_never_leaves(house: House) -> None:
    letter = letter_about(house, house.order_of(house.pay()))
    for statement in ("UPDATE dead_letters SET body = x'00'", "DELETE FROM dead_letters"):
        with pytest.raises(Exception, match="append-only"):
            house.sql(statement)
    assert house.rows_of(rows.DeadLetter) == [letter]


PLACED = {
    "reserved": "SEND_AGAIN",
    "unsent": "SEND_AGAIN",
    "sent": "ASK_ONLY",
    "accepted": "ASK_ONLY",
    "unknown": "ASK_ONLY",
    "success": "ALREADY_FINAL",
    "declined": "ALREADY_FINAL",
    "expired": "ALREADY_FINAL",
    "reversing": "ASK_ONLY",
    "reverse-sent": "ASK_ONLY",
    "reverse-unknown": "ASK_ONLY",
    "reversed": "ALREADY_FINAL",
    "cancelling": "ALREADY_FINAL",
    "cancel-sent": "ALREADY_FINAL",
    "cancel-unknown": "ALREADY_FINAL",
    "cancelled": "ALREADY_FINAL",
    "wait-write": "ALREADY_FINAL",
    "write-failed": "ALREADY_FINAL",
    "written": "ALREADY_FINAL",
    "card-cancel-sent": "ALREADY_FINAL",
    "bad-card-cancel-sent": "ALREADY_FINAL",
}


@pytest.mark.parametrize("place", PLACES)
def test_the_pay_message_at_every_place_of_a_payment(house: House, place: str) -> None:
    cohort = bring(house, place, 1)
    (pay,) = cohort.orders("PAY")
    assert verdict(house, pay) == PLACED[place]


@pytest.mark.parametrize(
    ("place", "kind", "expected"),
    [
        ("reversing", "REVERSE", "SEND_AGAIN"),
        ("reverse-sent", "REVERSE", "ASK_ONLY"),
        ("reverse-unknown", "REVERSE", "ASK_ONLY"),
        ("reversed", "REVERSE", "ALREADY_FINAL"),
        ("cancelling", "CANCEL", "SEND_AGAIN"),
        ("cancel-unknown", "CANCEL", "ASK_ONLY"),
        ("cancelled", "CANCEL", "ALREADY_FINAL"),
    ],
)
def test_the_message_of_an_undo(house: House, place: str, kind: str, expected: str) -> None:
    cohort = bring(house, place, 1)
    (undo,) = cohort.orders(kind)
    assert verdict(house, undo) == expected


def test_what_is_late_is_stale(house: House) -> None:
    order = house.order_of(house.pay())
    house.now = order.send_before - 1
    assert verdict(house, order) == "SEND_AGAIN"
    house.now = order.send_before
    assert verdict(house, order) == "STALE"


def test_a_key_that_no_longer_stands_for_the_payment(house: House) -> None:
    payment = house.pay()
    house.sql("UPDATE idempotency_keys SET kind = 'TOMBSTONE' WHERE gateway_serial = ?", payment.gateway_serial)
    assert verdict(house, house.order_of(payment)) == "TOMBSTONED"


def test_an_attempt_that_is_not_proven_unsent_is_never_sent_again(house: House) -> None:
    payment = house.pay()
    house.send(payment)
    house.sql("UPDATE orders SET state = 'READY', in_flight = 0")
    assert verdict(house, house.order_of(payment)) == "ASK_ONLY"


def test_an_account_that_was_paid_today_is_not_paid_again(house: House) -> None:
    first = house.settle(house.pay())
    second = house.pay()
    assert verdict(house, house.order_of(second)) == "WOULD_REPEAT"
    other = house.pay(amount_fen=9_999)
    assert verdict(house, house.order_of(other)) == "SEND_AGAIN"
    house.sql("UPDATE payments SET account_date = '2026-11-23' WHERE gateway_serial = ?", first.gateway_serial)
    assert verdict(house, house.order_of(second)) == "SEND_AGAIN"


def test_what_was_confirmed_beside_another_is_meant(house: House) -> None:
    first = house.pay()
    refused = house.ask(house.accept(2), items.Refusal)
    assert refused.repeat_token
    second = house.pay(2, confirm_repeat=refused.repeat_token)
    assert [verdict(house, house.order_of(one)) for one in (first, second)] == ["SEND_AGAIN", "SEND_AGAIN"]
    house.sql("UPDATE payments SET confirmed_beside = NULL")
    assert [verdict(house, house.order_of(one)) for one in (first, second)] == ["WOULD_REPEAT", "WOULD_REPEAT"]


def test_what_the_book_does_not_know_is_not_ours(house: House) -> None:
    first, second = house.pay(), house.pay(biller_account="10002")
    body = body_of(house, house.order_of(first), order_serial="20261124ZZZZZZZZZZZZZZZZ")
    mixed = body_of(house, house.order_of(first), order_serial=house.order_of(second).order_serial)
    keep(house, found(body, "a"), found(mixed, "b"))
    assert set(verdicts(house).values()) == {"NOT_OURS"}


def test_bill_queries_are_not_replayed(house: House) -> None:
    house.ask(
        items.AskBill(arrival=house.arrival(), service="acme.bill", biller_account="10001"),
        items.Asked,
    )
    ((payload,),) = house.sql("SELECT payload FROM outbox WHERE instr(payload, ?) > 0", b"bill-query")
    keep(house, found(payload))
    assert set(verdicts(house).values()) == {"STALE"}


def test_letters_are_found_by_what_they_are_about_page_by_page(house: House) -> None:
    orders = [house.order_of(house.pay(number % 2 + 1, biller_account=f"1{number:04d}")) for number in range(5)]
    letters = [letter_about(house, order, buried_at=number) for number, order in enumerate(orders)]
    assert list(verdicts(house)) == sorted(one.letter_id for one in letters)
    assert list(verdicts(house, institution_code=code(2))) == sorted(one.letter_id for one in letters[1::2])
    assert list(verdicts(house, biller_account="10003")) == [letters[3].letter_id]
    assert set(verdicts(house, since=1, until=3)) == {one.letter_id for one in letters[1:3]}
    assert verdicts(house, biller="meters") == {}
    assert verdicts(house, reason="wrong-biller") == {}
    page = house.look(JudgeLetters(limit=3), LettersJudged)
    rest = house.look(JudgeLetters(limit=3, after=str(page.after)), LettersJudged)
    assert [one.letter.letter_id for one in [*page.letters, *rest.letters]] == sorted(one.letter_id for one in letters)
    assert rest.after is None


# deeds


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def state(house: House, letter_id: str) -> tuple[str, int]:
    (row,) = house.rows_of(rows.DeadLetter, "letter_id = ?", letter_id)
    return row.state, row.runs


def corrected(body: bytes) -> str:
    return base64.b64encode(body).decode()


def test_a_corrected_copy_is_linked_and_validated_as_if_new(office: Office) -> None:
    house = office.house
    payment = house.pay()
    order = house.order_of(payment)
    right = body_of(house, order)
    keep(house, found(right[:-1], reason="malformed"))
    (letter,) = house.rows_of(rows.DeadLetter)
    wrong = {
        "malformed": [
            right[:-1],
            body_of(house, order, biller="meters"),
            body_of(house, order, order_kind="CANCEL"),
            body_of(house, order, send_before="2026-11-24T23:59:59.000Z"),
            right[:-1] + b',"message_id":"x"}',
        ],
        "not-found": [
            body_of(house, order, order_serial="20261124ZZZZZZZZZZZZZZZZ"),
            body_of(house, order, gateway_serial="20261124ZZZZZZZZZZZZZZZZ"),
        ],
    }
    for slug, bodies in wrong.items():
        for body in bodies:
            assert office.no(office.clerk, "letter.correct", letter.letter_id, body=corrected(body)) == slug
    copy_id = office.do(office.clerk, "letter.correct", letter.letter_id, body=corrected(right)).state
    (copy,) = house.rows_of(rows.DeadLetter, "letter_id = ?", copy_id)
    assert (copy.corrects, copy.state, copy.message, copy.key) == (letter.letter_id, "OPEN", "order", "10001")
    assert (copy.topic, copy.body) == ("bianmin.request.acme", right)
    assert state(house, letter.letter_id) == ("CLOSED", 0)
    assert verdicts(house) == {copy_id: "SEND_AGAIN"}
    assert office.no(office.clerk, "letter.correct", letter.letter_id, body=corrected(right)) == "state-conflict"


def test_a_corrected_copy_is_about_the_same_payment(office: Office) -> None:
    house = office.house
    first, second = (house.order_of(house.pay(biller_account=f"1000{n}")) for n in (1, 2))
    slip = body_of(house, first, kind="ordre")
    keep(house, found(slip, reason="malformed"))
    (letter,) = house.rows_of(rows.DeadLetter)
    assert (letter.message, letter.order_serial) == (None, first.order_serial)
    body = corrected(body_of(house, second))
    assert office.no(office.clerk, "letter.correct", letter.letter_id, body=body) == "malformed"
    right = corrected(body_of(house, first))
    assert office.do(office.clerk, "letter.correct", letter.letter_id, body=right).state


def test_a_copy_is_no_way_past_the_loop_guard(office: Office) -> None:
    """Its count of replays goes on, and what was stopped takes none (M12)."""
    house = office.house
    right = body_of(house, house.order_of(house.pay()))
    keep(house, found(right[:-1], "a", reason="malformed"), found(right[:-2], "b", reason="malformed"))
    first, second = (one.letter_id for one in house.rows_of(rows.DeadLetter))
    house.sql("UPDATE dead_letters SET runs = ? WHERE letter_id = ?", LOOP_MAX, first)
    house.sql("UPDATE dead_letters SET runs = ? WHERE letter_id = ?", LOOP_MAX - 1, second)
    assert office.no(office.clerk, "letter.correct", first, body=corrected(right)) == "state-conflict"
    copy_id = office.do(office.clerk, "letter.correct", second, body=corrected(right)).state
    assert state(house, copy_id) == ("OPEN", LOOP_MAX - 1)
    assert office.no(office.clerk, "letter.correct", copy_id, body=corrected(right)) == "state-conflict"


def test_only_what_nobody_can_read_is_corrected(office: Office) -> None:
    """What can be read is released, and what cannot is born in quarantine, which a release does not leave."""
    house = office.house
    order = house.order_of(house.pay())
    right = corrected(body_of(house, order))
    readable, apart = letter_about(house, order), letter_about(house, order, reason="oversized")
    for one in (readable, apart):
        assert office.no(office.clerk, "letter.correct", one.letter_id, body=right) == "state-conflict"
    keep(house, found(b"{", "torn", reason="replayed"))
    (torn,) = house.rows_of(rows.DeadLetter, "origin = ?", "torn")
    assert torn.state == "QUARANTINED"
    assert office.no(office.clerk, "letter.release", torn.letter_id) == "state-conflict"
    assert office.do(office.clerk, "letter.release", apart.letter_id).state == "OPEN"


def test_a_closed_letter_does_nothing_any_more(office: Office) -> None:
    house = office.house
    letter = letter_about(house, house.order_of(house.pay()))
    assert office.do(office.clerk, "letter.close", letter.letter_id).state == "CLOSED"
    assert office.no(office.clerk, "letter.close", letter.letter_id) == "state-conflict"
    assert verdicts(house, letter_ids=[letter.letter_id]) == {letter.letter_id: "ALREADY_FINAL"}
    (record,) = house.rows_of(rows.Record, "kind = 'deed'")[:1]
    assert record.body == b'{"state":"CLOSED"}', "what came of it is kept with it"
    assert office.no(office.clerk, "letter.close", "20261124ZZZZZZZZZZZZZZZZ") == "not-found"


def test_quarantine_is_left_by_one_and_by_two_where_it_was_the_loop_guard(office: Office) -> None:
    house = office.house
    letter = letter_about(house, house.order_of(house.pay()), reason="oversized")
    assert verdicts(house, states="QUARANTINED") == {letter.letter_id: "MALFORMED"}
    assert office.do(office.clerk, "letter.release", letter.letter_id).state == "OPEN"
    assert verdicts(house) == {letter.letter_id: "SEND_AGAIN"}
    assert office.no(office.clerk, "letter.release", letter.letter_id) == "state-conflict"
    house.sql("UPDATE dead_letters SET state = 'QUARANTINED', runs = ?", LOOP_MAX)
    assert verdicts(house, states="QUARANTINED") == {letter.letter_id: "LOOPED"}
    plan = office.do(office.clerk, "letter.release", letter.letter_id).waits
    assert plan is not None
    assert office.no(office.clerk, "ops.approve", plan) == "authorization-required"
    assert state(house, letter.letter_id) == ("QUARANTINED", LOOP_MAX)
    assert office.do(office.chief, "ops.approve", plan).state == "DONE"
    assert state(house, letter.letter_id) == ("OPEN", 0)
