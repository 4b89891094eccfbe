"""A biller paused or held below its limits, the gateway drained: told politely, obeyed by every unit (ROLE-06)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core import items, rows, views
from gateway.core.allowances import CALLS, QUESTIONS, Dealt, Holding, Renew, shares_of
from gateway.http import offers
from tests.stand.billers import ACME
from tests.stand.house import House
from tests.stand.office import Office
from tests.unit.core.oracle import violations
from tests.unit.core.test_undoing import cancel


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.house.close()


def refusal(house: House, **fields: Any) -> items.Refusal:
    return house.ask(house.accept(**fields), items.Refusal)


def test_paused_biller_is_told_with_text_and_time_and_leaves_the_key_free(office: Office) -> None:
    house = office.house
    item = house.accept(biller_account="10009")
    taken = house.ask(item, items.Taken)
    reopens = str(house.now + 2 * 3600 * 1000)
    office.do(office.clerk, "biller.pause", "acme", shop_text="供电系统检修", reopens_at=reopens)
    found = refusal(house, key="key-of-the-pause")
    assert (found.slug, found.retry_after_s, found.shop_text) == (
        "biller-closed", 7200, "供电系统检修（预计14:00恢复）",
    )  # fmt: skip
    house.ask(house.accept(service="meters.card", biller_account="20001"), items.Taken)  # another biller
    services = house.look(views.ViewServices(arrival=house.arrival()), views.ServicesView)
    assert services.closed == {"acme": "供电系统检修（预计14:00恢复）"}
    shown = {one.biller: one.closed_reason for one in offers.services(services, house.env, lambda _: 0).items}
    assert shown == {"acme": "供电系统检修（预计14:00恢复）", "meters": None}
    bill = items.AskBill(arrival=house.arrival(), service="acme.fetch", biller_account="10001")
    assert house.ask(bill, items.Refusal).slug == "biller-closed"
    again = house.accept(biller_account="10009", key=item.key)
    assert house.ask(again, items.Taken).payment.gateway_serial == taken.payment.gateway_serial, "a known key answers"
    house.advance(3 * 3600)
    assert refusal(house).retry_after_s == 60, "only a person opens"
    office.do(office.chief, "biller.resume", "acme")
    house.ask(house.accept(key="key-of-the-pause"), items.Taken)
    assert violations(house) == []


def test_no_call_goes_to_a_paused_biller_and_questions_go_on(office: Office) -> None:
    house = office.house
    waiting, doubtful = house.pay(biller_account="1001"), house.pay(biller_account="1002")
    sent, paid = house.pay(biller_account="1003"), house.settle(house.pay(biller_account="1004"))
    granted = house.send(sent)
    house.settle(doubtful, "Unknown")
    cancel(house, paid)
    office.do(office.clerk, "biller.pause", "acme")
    for payment in (waiting, paid):
        notnow = house.ask(house.claim(house.order_of(payment)), items.NotNow)
        assert (notnow.gone, notnow.cause) == (False, "paused")
    house.ask(house.reply_of(granted, "Paid", paid_fen=10_000, biller_serial="B"), items.Judged)
    house.advance(30)
    asked = house.ask(items.TakeQuestions(entropy=1), items.Questions).questions
    assert [one.payment.gateway_serial for one in asked] == [doubtful.gateway_serial]
    house.advance(120)
    house.ask(items.Sweep(entropy=2), items.Swept)
    assert house.now_of(waiting).reason == "expired-unsent"
    office.do(office.clerk, "biller.resume", "acme")
    house.ask(house.claim(house.order_of(paid)), items.Granted)
    assert violations(house) == []


def test_shares_are_dealt_by_the_lowered_limits_and_never_above_the_manifest(office: Office) -> None:
    house = office.house

    def dealt(worker: str, concurrency: int = 0, rate_per_s: int = 0) -> list[tuple[int, int]]:
        holdings = [
            Holding(biller="acme", share=name, concurrency=concurrency, rate_per_s=rate_per_s)
            for name in (CALLS, QUESTIONS)
        ]
        found = house.ask(Renew(worker=worker, holdings=holdings), Dealt).grants
        return [(grant.concurrency, grant.rate_per_s) for grant in found]

    whole = shares_of(ACME)
    assert dealt("w1")[0] == (whole[CALLS].concurrency, whole[CALLS].rate_per_s)
    office.do(office.clerk, "biller.limits", "acme", concurrency="10", rate_per_s="100")
    assert dealt("w1", whole[CALLS].concurrency) == [(9, 90), (1, 10)] or dealt("w1") == [(9, 90), (1, 10)]
    assert dealt("w2")[0][0] == 0, "nothing is left before the first gives back"
    office.do(office.clerk, "biller.limits", "acme")
    house.advance(60)
    assert dealt("w3")[0][0] == whole[CALLS].concurrency
    for name, value in (("concurrency", "51"), ("rate_per_s", "1001"), ("concurrency", "1"), ("rate_per_s", "9")):
        assert office.no(office.clerk, "biller.limits", "acme", **{name: value}) == "malformed"


def test_draining_refuses_new_payments_and_lets_what_was_taken_end(office: Office) -> None:
    house = office.house
    waiting, paid = house.pay(biller_account="1001"), house.settle(house.pay(biller_account="1002"))
    assert office.no(office.clerk, "drain.end", "*") == "state-conflict"
    office.do(office.clerk, "drain.begin", "*")
    found = refusal(house)
    assert (found.slug, found.retry_after_s, found.shop_text) == (
        "biller-closed", 60, "系统维护中，暂不受理新缴费，请稍后再试",
    )  # fmt: skip
    assert house.settle(waiting).state == "SUCCESS"
    assert cancel(house, paid).payment.state == "CANCELLING"
    assert office.no(office.chief, "drain.begin", "*") == "state-conflict"
    office.do(office.chief, "drain.end", "*")
    house.pay(biller_account="1003")
    assert violations(house) == []


@pytest.mark.parametrize(("action", "subject"), [("biller.pause", "acme"), ("drain.begin", "*")])
def test_what_shops_are_told_may_be_amended_and_the_same_again_is_refused(
    office: Office, action: str, subject: str
) -> None:
    house = office.house
    office.do(office.clerk, action, subject, shop_text="检修")
    assert office.no(office.chief, action, subject, shop_text="检修") == "state-conflict"
    office.do(office.chief, action, subject, shop_text="延长检修")
    assert refusal(house).shop_text == "延长检修"
    reopens = str(house.now + 3600 * 1000)
    office.do(office.clerk, action, subject, shop_text="延长检修", reopens_at=reopens)
    assert refusal(house).retry_after_s == 3600
    assert office.no(office.clerk, action, subject, shop_text="延长检修", reopens_at=reopens) == "state-conflict"
    (row,) = house.rows_of(rows.BillerControl)
    assert (row.changed_by, row.version) == ("s-1", 3)


def test_each_step_is_a_deed_of_somebody_who_may(office: Office) -> None:
    assert office.no(office.clerk, "biller.pause", "nobody") == "not-found"
    assert office.no(office.clerk, "biller.pause", "*") == "not-found"
    assert office.no(office.clerk, "drain.begin", "acme") == "not-found"
    for name, value in (("shop_text", "x" * 65), ("reopens_at", "1"), ("reopens_at", "soon")):
        assert office.no(office.clerk, "biller.pause", "acme", **{name: value}) == "malformed"
    office.do(office.clerk, "biller.pause", "acme")
    (row,) = office.house.rows_of(rows.BillerControl)
    (record,) = office.house.rows_of(rows.Record, "record_id = ?", row.record_id)
    assert (row.changed_by, row.reason, record.kind) == ("s-1", "测试", "deed")
    office.house.rewrite("staff", "department = '计财部' WHERE staff_id = 's-1'")
    assert office.no(office.clerk, "biller.resume", "acme") == "authorization-required"
