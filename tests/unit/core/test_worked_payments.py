"""The four payments of the worked example s3, row by row: balances, postings, dates, states, effects."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core import items, rows
from gateway.core.accounts import BY_CODE
from gateway.core.moves import LADDER_S
from tests.stand.billers import POWER, TELECOM, WATER
from tests.stand.house import House

STATION = "33078200017"
PLAT = "TP2026112409020300000077"


def at(text: str) -> int:
    """2026-11-24T01:02:03.456 as ms."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


@pytest.fixture
def example(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, stations=0, manifests=(TELECOM, POWER, WATER), durable=False)
    house.now = at("2026-11-24T01:00:00")
    house.set_price("mobile.topup", version="TF-2026-07", effective_from="2026-07-01", fee_fen=100, rate_ppm=15_000)
    house.set_price("power.bill", version="TF-2026-07", effective_from="2026-07-01", fee_fen=200, rate_ppm=3_000)
    house.set_price("water.bill", version="TF-2026-07", effective_from="2026-07-01", fee_fen=100, rate_ppm=10_000)
    house.add_station(1, institution_code=STATION)
    give(house, 500_000)
    yield house
    house.close()


def give(house: House, amount_fen: int, voucher: str = "V-1") -> None:
    deposit = items.Deposit(
        institution_code=STATION,
        amount_fen=amount_fen,
        voucher_number=voucher,
        outlet="370001",
        taken_by="0007",
        entropy=house.entropy(),
    )
    house.ask(deposit, items.Kept)


def balance(house: House) -> tuple[int, int, int]:
    (row,) = house.rows_of(rows.Balance)
    return row.available_fen, row.reserved_fen, row.receivable_fen


def legs(house: House, recipe: str, serial: str | None) -> dict[str, int]:
    """The legs of a payment's transaction of a recipe: account name, owner where it has one."""
    where = "recipe = ? AND gateway_serial IS ?"
    (transaction,) = house.rows_of(rows.Transaction, where, recipe, serial)
    found = house.rows_of(rows.Posting, "txn_id = ?", transaction.txn_id)
    assert sum(leg.amount_fen for leg in found) == 0
    return {f"{BY_CODE[leg.account].name}/{leg.owner}".rstrip("/"): leg.amount_fen for leg in found}


def accept(house: House, **fields: Any) -> rows.Payment:
    return house.ask(house.accept(1, **fields), items.Taken).payment


def test_s3_1_accepted_then_a_notice(example: House) -> None:
    house = example
    house.now = at("2026-11-24T01:02:03.456")
    arrival = house.arrival(1, created=1_795_482_123, expires=1_795_482_423)
    payment = accept(
        house,
        arrival=arrival,
        key="T1-20261124-000123",
        service="mobile.topup",
        biller_account="13805790001",
        amount_fen=10_000,
        terminal_trace="000123",
        cash_received_fen=10_100,
    )
    _accepted_rows(house, payment, arrival)
    _claimed_and_accepted(house, payment)
    _noticed(house, payment)


def _accepted_rows(house: House, payment: rows.Payment, arrival: items.Arrival) -> None:
    serial = payment.gateway_serial
    assert serial[:8] == "20261124"
    assert (payment.state, payment.version, payment.fee_fen, payment.paid_fen) == ("RESERVED", 1, 100, None)
    assert (payment.account_date, payment.settle_date) == ("2026-11-24", "2026-11-24")
    assert payment.send_before == at("2026-11-24T01:04:03.456")
    assert (payment.tariff_version, payment.commission_version) == ("TF-2026-07", "TF-2026-07")
    assert balance(house) == (489_900, 10_100, 0)
    assert legs(house, "R01", serial) == {f"available/{STATION}": -10_100, f"reserved/{STATION}": 10_100}
    (nonce,) = house.rows_of(rows.Nonce)
    assert (nonce.bucket, nonce.arrival_id) == (1_795_482_123 // 3600, arrival.arrival_id)
    (key,) = house.rows_of(rows.Key)
    assert (key.kind, key.gateway_serial, key.arrival_id) == ("PAYMENT", serial, arrival.arrival_id)
    order = house.order_of(payment)
    assert (order.order_serial, order.kind, order.state, order.in_flight, order.attempts) == (
        serial,
        "PAY",
        "READY",
        False,
        0,
    )
    assert (order.partner_serial[:8], len(order.partner_serial)) == ("20261124", 20)
    assert order.next_try_at == payment.accepted_at
    (message,) = house.rows_of(rows.OutboxRow)
    told = msgspec.json.decode(message.payload)
    assert (message.topic, message.key) == ("bianmin.request.telecom", "13805790001")
    assert (told["order_serial"], told["send_before"]) == (serial, "2026-11-24T01:04:03.456Z")
    assert house.rows_of(rows.Record)[0].day is None


def _claimed_and_accepted(house: House, payment: rows.Payment) -> None:
    house.now = at("2026-11-24T01:02:03.470")
    granted = house.send(payment)
    (attempt,) = house.rows_of(rows.Attempt)
    assert (attempt.attempt, attempt.claimed_at) == (1, house.now)
    assert attempt.send_by == at("2026-11-24T01:02:05.470")
    assert attempt.call_deadline == at("2026-11-24T01:02:23.470")
    assert house.now_of(payment).version == 2

    house.now = at("2026-11-24T01:02:03.620")
    reply = house.reply_of(
        granted, "Accepted", resp_code="0000", biller_serial=PLAT, ask_after_s=60, raw=b'{"code":"0000"}'
    )
    judged = house.ask(reply, items.Judged)
    order, payment = house.order_of(payment), house.now_of(payment)
    assert (judged.effect, payment.state, payment.version, payment.biller_serial) == ("SENT->SENT", "SENT", 3, PLAT)
    assert (order.state, order.in_flight) == ("SENT", False)
    assert order.ask_at == at("2026-11-24T01:03:03.620")
    assert order.result_due_at == at("2026-11-25T01:02:03.620")
    assert len(house.rows_of(rows.Transaction)) == 2  # deposit, R01


def _noticed(house: House, payment: rows.Payment) -> None:
    serial, order = payment.gateway_serial, house.order_of(payment)
    house.now = at("2026-11-24T01:02:05.914")
    notice = items.Judge(
        source="notice",
        entropy=house.entropy(),
        answer=items.Answer(
            kind="Paid", biller_serial=PLAT, paid_fen=10_000, biller_date="2026-11-24", raw=b'{"state":"2"}'
        ),
        biller="telecom",
        partner_serial=order.partner_serial,
        biller_account="13805790001",
        amount_fen=10_000,
    )
    judged = house.ask(notice, items.Judged)
    payment, order = house.now_of(payment), house.order_of(payment)
    assert judged.effect == "SENT->SUCCESS"
    assert (payment.state, payment.version, payment.paid_fen, payment.biller_date) == (
        "SUCCESS",
        4,
        10_000,
        "2026-11-24",
    )
    assert payment.final_at == house.now
    assert order.state == "DONE"
    assert house.rows_of(rows.Attempt)[0].outcome == "Accepted"
    assert legs(house, "R05", serial) == {
        f"reserved/{STATION}": -10_100,
        "biller_payable/telecom": 10_000,
        "fee_income": 100,
        "commission_receivable/telecom": -150,
        f"commission_accrued/{STATION}": 105,
        "commission_income": 45,
    }
    assert balance(house) == (489_900, 0, 0)
    evidence = {(row.source, row.event, row.effect) for row in house.rows_of(rows.EvidenceRow)}
    assert evidence == {("reply", "ACCEPTED", "SENT->SENT"), ("notice", "PAID", "SENT->SUCCESS")}
    assert {record.kind for record in house.rows_of(rows.Record)} == {"request", "reply", "notice"}
    told = [msgspec.json.decode(row.payload) for row in house.rows_of(rows.OutboxRow, "topic = 'bianmin.result'")]
    assert [(each["state"], each["version"]) for each in told] == [("SUCCESS", 4)]

    again = house.ask(msgspec.structs.replace(notice, entropy=house.entropy()), items.Judged)
    assert (again.effect, house.now_of(payment)) == ("keep", payment)
    assert balance(house) == (489_900, 0, 0)
    assert house.rows_of(rows.Break) == []


def test_s3_1_a_notice_before_the_reply_takes_the_same_road(example: House) -> None:
    house = example
    payment = accept(house, service="mobile.topup", biller_account="13805790001")
    granted = house.send(payment)
    paid = house.evidence(granted.order, "Paid", source="notice", biller_serial="TP1", paid_fen=10_000)
    assert house.ask(paid, items.Judged).effect == "SENT->SUCCESS"
    late = house.reply_of(granted, "Accepted", biller_serial="TP1", ask_after_s=60)
    assert house.ask(late, items.Judged).effect == "keep"
    order = house.order_of(payment)
    assert (order.state, order.in_flight, order.ask_at) == ("DONE", False, None)
    assert house.now_of(payment).state == "SUCCESS"


def power_payment(house: House) -> rows.Payment:
    house.now = at("2026-11-24T02:09:50.000")
    ask = items.AskBill(arrival=house.arrival(1), service="power.bill", biller_account="4600123456")
    token = house.ask(ask, items.Asked).query.query_token
    answer = items.AnswerBill(
        query_token=token, entropy=house.entropy(), answer=b"{}", total_fen=12_345, min_fen=12_345, max_fen=12_345
    )
    house.ask(answer, items.Kept)
    house.now = at("2026-11-24T02:10:00.120")
    return accept(house, service="power.bill", biller_account="4600123456", amount_fen=12_345, query_token=token)


def test_s3_2_answer_lost_then_found_by_query(example: House) -> None:
    house = example
    house.ask(
        house.accept(1, service="mobile.topup", biller_account="13805790001"), items.Taken
    )  # 489,900 are left, as after s3.1
    payment = power_payment(house)
    assert balance(house)[0] == 477_355
    assert balance(house)[1] == 10_100 + 12_545
    house.now = at("2026-11-24T02:10:00.140")
    granted = house.send(payment)
    assert granted.send_by == at("2026-11-24T02:10:02.140")
    assert granted.call_deadline == at("2026-11-24T02:10:45.140")

    house.now = at("2026-11-24T02:10:09.300")
    lost = house.ask(house.reply_of(granted, "Unknown", cause="reset-after-send"), items.Judged)
    payment, order = house.now_of(payment), house.order_of(payment)
    assert lost.effect == "SENT->UNKNOWN"
    assert (payment.state, payment.version, payment.in_doubt_since) == ("UNKNOWN", 3, house.now)
    assert (order.state, order.in_flight, order.rung) == ("UNKNOWN", False, 1)
    # The steps of the ladder are a choice of numbers: the example's are 10 s and 30 s.
    assert order.ask_at == house.now + LADDER_S[0] * 1000
    house.now = order.ask_at - 1
    assert house.ask(items.TakeQuestions(entropy=1), items.Questions).questions == []
    assert house.rows_of(rows.Attempt)[0].outcome == "Unknown"
    assert len(house.rows_of(rows.Transaction, "gateway_serial = ?", payment.gateway_serial)) == 1
    assert len(house.rows_of(rows.OutboxRow, "topic = 'bianmin.result'")) == 2  # the bill's answer and this

    house.now = at("2026-11-24T02:10:19.300")
    (question,) = house.ask(items.TakeQuestions(entropy=2), items.Questions).questions
    assert question.order.order_serial == payment.gateway_serial
    absent = house.ask(house.evidence(order, "Absent"), items.Judged)
    order = house.order_of(payment)
    assert absent.effect == "UNKNOWN->UNKNOWN"
    lease_ms = items.TakeQuestions(entropy=0).lease_ms
    assert (order.state, order.ask_at) == ("UNKNOWN", house.now + max(LADDER_S[1] * 1000, lease_ms))
    assert house.rows_of(rows.EvidenceRow)[-1].event == "LOST"

    house.now = at("2026-11-24T02:10:49.520")
    house.ask(items.TakeQuestions(entropy=3), items.Questions)
    paid = house.evidence(order, "Paid", biller_serial="202611240000004171", paid_fen=12_345, raw=b"paid")
    assert house.ask(paid, items.Judged).effect == "UNKNOWN->SUCCESS"
    payment = house.now_of(payment)
    assert (payment.state, payment.version, payment.in_doubt_since) == ("SUCCESS", 5, None)
    assert legs(house, "R05", payment.gateway_serial) == {
        f"reserved/{STATION}": -12_545,
        "biller_payable/power": 12_345,
        "fee_income": 200,
        "commission_receivable/power": -37,
        f"commission_accrued/{STATION}": 26,
        "commission_income": 11,
    }
    assert balance(house) == (477_355, 10_100, 0)


def test_m5_s3_2_had_every_question_failed(example: House) -> None:
    house = example
    payment = power_payment(house)
    house.ask(house.reply_of(house.send(payment), "Unknown"), items.Judged)
    for _ in range(60):
        house.advance(86_400)
        for question in house.ask(items.TakeQuestions(entropy=house.entropy()), items.Questions).questions:
            house.ask(house.evidence(question.order, "Unknown"), items.Judged)
        house.ask(items.Sweep(entropy=house.entropy()), items.Swept)
    assert house.now_of(payment).state == "UNKNOWN"
    assert balance(house)[1] == 12_545
    assert house.order_of(payment).rung == 4


def test_s3_3_the_inquiry_leaves_a_tombstone(example: House) -> None:
    house = example
    house.now = at("2026-11-24T02:20:00")
    late = house.accept(1, key="T1-20261124-000125", service="water.bill", biller_account="88012345", amount_fen=8000)
    before = len(house.rows_of(rows.OutboxRow))
    house.now = at("2026-11-24T02:20:31")
    inquire = items.Inquire(arrival=house.arrival(1), key="T1-20261124-000125")
    answered = house.ask(inquire, items.Inquired)
    assert (answered.taken, answered.refusal) == (None, None)
    (key,) = house.rows_of(rows.Key)
    assert (key.kind, key.request_hash, key.gateway_serial) == ("TOMBSTONE", None, None)
    house.now = at("2026-11-24T02:21:10")
    for _ in range(2):
        refused = house.ask(late, items.Refusal)
        assert refused.slug == "tombstoned"
        late = msgspec.structs.replace(late, arrival=house.arrival(1))
    assert house.rows_of(rows.Key) == [key]
    assert not any(house.rows_of(kind) for kind in (rows.Payment, rows.Order))
    assert len(house.rows_of(rows.OutboxRow)) == before
    assert len(house.rows_of(rows.Record)) == len(house.rows_of(rows.Nonce)) == 3
    assert balance(house) == (500_000, 0, 0)


def test_s3_3_had_accept_won_the_key(example: House) -> None:
    house = example
    payment = accept(house, key="T1-20261124-000125", service="water.bill", biller_account="88012345", amount_fen=8000)
    found = house.ask(items.Inquire(arrival=house.arrival(1), key="T1-20261124-000125"), items.Inquired)
    assert found.taken is not None
    assert found.taken.payment == payment
    bad = house.accept(1, key="T1-20261124-000126", service="water.bill", biller_account="1234", amount_fen=1)
    house.ask(bad, items.Refusal)
    found = house.ask(items.Inquire(arrival=house.arrival(1), key="T1-20261124-000126"), items.Inquired)
    assert found.refusal is not None
    assert found.refusal.slug == "amount-out-of-range"


def test_s3_4_failed_then_paid_by_the_file_with_the_balance_spent(example: House) -> None:
    house = example
    spend(house, 500_000 - 477_355)
    house.now = at("2026-11-24T03:00:00.900")
    payment = accept(house, service="water.bill", biller_account="88012345", amount_fen=8000)
    assert balance(house)[:2] == (469_255, 8100)
    house.now = at("2026-11-24T03:00:00.930")
    granted = house.send(payment)
    house.now = at("2026-11-24T03:00:01.400")
    declined = house.reply_of(granted, "Declined", resp_code="E12", reason="biller-refused")
    assert house.ask(declined, items.Judged).effect == "SENT->FAILED"
    payment = house.now_of(payment)
    assert (payment.state, payment.reason, payment.resp_code) == ("FAILED", "biller-refused", "E12")
    assert house.order_of(payment).state == "REFUSED"
    assert legs(house, "R03", payment.gateway_serial) == {f"reserved/{STATION}": -8100, f"available/{STATION}": 8100}
    assert balance(house)[:2] == (477_355, 0)
    spend(house, 474_855)
    assert balance(house) == (2500, 0, 0)

    house.now = at("2026-11-24T17:40:12")  # 01:40 of the 25th at the bureau
    house.engine.connection.execute("UPDATE days SET state = 'CLOSED', closed_at = 1 WHERE account_date = '2026-11-24'")
    house.engine.connection.execute("UPDATE windows SET state = 'MATCHING' WHERE biller = 'water'")
    line = house.evidence(
        house.order_of(payment), "Paid", source="file", biller_serial="W771204", paid_fen=8000, raw=b"line"
    )
    assert house.ask(line, items.Judged).effect == "FAILED->SUCCESS"
    payment = house.now_of(payment)
    assert (payment.state, payment.version, payment.paid_fen, payment.biller_serial) == ("SUCCESS", 4, 8000, "W771204")
    assert (payment.final_at, payment.reason) == (house.now, None)
    assert house.order_of(payment).state == "DONE"
    assert legs(house, "R09", payment.gateway_serial) == {
        f"available/{STATION}": -2500,
        f"station_receivable/{STATION}": -5600,
        "biller_payable/water": 8000,
        "fee_income": 100,
        "commission_receivable/water": -80,
        f"commission_accrued/{STATION}": 56,
        "commission_income": 24,
    }
    (posted,) = house.rows_of(rows.Transaction, "recipe = 'R09'")
    assert (posted.posting_date, posted.account_date, posted.settle_date) == ("2026-11-25", "2026-11-24", "2026-11-24")
    assert balance(house) == (0, 0, 5600)

    house.now = at("2026-11-25T00:30:00")
    refused = house.ask(house.accept(1, service="water.bill", biller_account="1234", amount_fen=500), items.Refusal)
    assert refused.slug == "station-suspended"
    assert refused.shop_text == "本站有欠款56.00元，暂停收费。请先充值，到账后自动恢复。"
    assert refused.detail == "An open receivable of 5600 fen must be covered by a deposit or top-up first."
    (key,) = house.rows_of(rows.Key, "kind = 'REFUSED'")
    assert key.gateway_serial is None
    give(house, 50_000, "V-2")
    (swept,) = house.rows_of(rows.Transaction, "cause_id = 'V-2'")
    found = [
        (BY_CODE[leg.account].name, leg.recipe, leg.amount_fen)
        for leg in house.rows_of(rows.Posting, "txn_id = ?", swept.txn_id)
    ]
    assert found == [
        ("available", "R13", 50_000),
        ("counter_cash", "R13", -50_000),
        ("available", "R21", -5600),
        ("station_receivable", "R21", 5600),
    ]
    assert balance(house) == (44_400, 0, 0)
    assert accept(house, service="water.bill", biller_account="1234", amount_fen=500).state == "RESERVED"


def spend(house: House, amount_fen: int) -> None:
    """Pay amounts that come to this, fees included, all decided."""
    while amount_fen:
        part = min(amount_fen, 400_000)
        payment = accept(house, service="water.bill", biller_account="555501", amount_fen=part - 100)
        house.settle(payment)
        amount_fen -= part


def test_the_stations_statement_is_a_chain(example: House) -> None:
    """Each leg on a running balance says what is left, in the order of its seq."""
    test_s3_4_failed_then_paid_by_the_file_with_the_balance_spent(example)
    running = {"2001": 0, "2002": 0}
    lines = sorted(example.rows_of(rows.Posting, "account IN ('2001', '2002')"), key=lambda leg: leg.seq or 0)
    assert [leg.seq for leg in lines] == list(range(1, len(lines) + 1))
    for leg in lines:
        running[leg.account] += leg.amount_fen
        assert leg.balance_after == running[leg.account]
