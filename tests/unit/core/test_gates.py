"""Every gate and refusal of acceptance, its slug, and whether it decides the key (design s10; TRN, SVC, PAY-02)."""

from collections.abc import Callable, Iterator
from datetime import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.manifest import BillModel, Can, Manifest
from contracts.money import Fen
from contracts.problems import DECIDES_KEY, PROBLEMS
from gateway.core import items, rows
from tests.stand.billers import ACME, METERS, facts
from tests.stand.house import NOON, House, code, keyid
from tests.unit.core.oracle import violations

SHOP = Manifest(
    name="shop",
    title="定额",
    can=frozenset({Can.QUERY_RESULT}),
    flows={
        "shop.cards": facts("面值", amounts=(Fen(5_000), Fen(10_000))),
        "shop.night": facts("夜间", closed_local=((time(12, 0), time(12, 30)),)),
        "shop.free": facts("无价", bill_model=BillModel.DIRECT),
    },
    concurrency=1,
    rate_per_s=1,
    source="tests",
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, manifests=(ACME, METERS, SHOP), durable=False)
    yield house
    house.close()


def poke(house: House, sql: str, *params: object) -> None:
    house.engine.connection.execute(sql, params)


def forget_tariffs(house: House) -> None:
    poke(house, "DELETE FROM tariffs WHERE service = 'shop.free'")


def owe(house: House) -> None:
    poke(house, "UPDATE station_balances SET receivable_fen = 5600 WHERE institution_code = ?", code(1))


def untrain(house: House) -> None:
    poke(house, "DELETE FROM trainings WHERE institution_code = ?", code(1))


def wrong_training(house: House) -> None:
    poke(house, "UPDATE trainings SET service = 'acme.topup'")


def old_training(house: House) -> None:
    poke(house, "UPDATE trainings SET valid_from = ?, valid_until = ?", house.now - 9, house.now)


def early_training(house: House) -> None:
    poke(house, "UPDATE trainings SET valid_from = ?, valid_until = ?", house.now + 1, house.now + 9)


def suspend(house: House) -> None:
    poke(house, "UPDATE stations SET state = 'SUSPENDED', reason = 'r'")


def shut(house: House) -> None:
    poke(house, "UPDATE station_services SET state = 'CLOSED' WHERE service = 'acme.bill'")


def nothing(house: House) -> None:
    """As it is."""


CASES: list[tuple[str, str, Callable[[House], None], dict[str, Any]]] = [
    ("malformed account", "malformed", nothing, {"biller_account": "12x"}),
    ("full-width digits", "malformed", nothing, {"biller_account": "１２３４５"}),
    ("a param nobody declared", "malformed", nothing, {"params": '{"carrier":"a"}'}),
    ("a param missing", "malformed", nothing, {"service": "acme.once"}),
    ("a choice nobody offers", "malformed", nothing, {"service": "acme.once", "params": '{"carrier":"z"}'}),
    ("breaker open", "biller-closed", nothing, {"closed_for_s": 7}),
    ("daily window", "biller-closed", nothing, {"service": "shop.night"}),
    ("service of no adapter", "service-not-open", nothing, {"service": "nobody.bill"}),
    ("service not loaded", "service-not-open", shut, {}),
    ("no tariff in force", "service-not-open", forget_tariffs, {"service": "shop.free"}),
    ("suspended", "station-suspended", suspend, {}),
    ("receivable open", "station-suspended", owe, {}),
    ("untrained", "operator-not-trained", untrain, {}),
    ("trained for another service", "operator-not-trained", wrong_training, {}),
    ("training over", "operator-not-trained", old_training, {}),
    ("training not begun", "operator-not-trained", early_training, {}),
    ("below the least", "amount-out-of-range", nothing, {"amount_fen": 99}),
    ("zero", "amount-out-of-range", nothing, {"amount_fen": 0}),
    ("negative", "amount-out-of-range", nothing, {"amount_fen": -10_000}),
    ("above the most", "amount-out-of-range", nothing, {"amount_fen": 5_000_001}),
    ("not a face value", "amount-out-of-range", nothing, {"service": "shop.cards", "amount_fen": 6_000}),
    ("no query where one is needed", "query-token-stale", nothing, {"service": "acme.fetch"}),
    ("a token nobody gave", "query-token-stale", nothing, {"query_token": "x"}),
    ("confirmation of nothing", "repeat-in-doubt", nothing, {"confirm_repeat": "x"}),
    ("one fen short", "insufficient-balance", nothing, {"amount_fen": 499_901}),
]


@pytest.mark.parametrize(("slug", "prepare", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refusals(shop: House, slug: str, prepare: Callable[[House], None], fields: dict[str, Any]) -> None:
    """Nothing is half-done: no payment, reservation or message; nonce and record stay; the key as design s10 says."""
    prepare(shop)
    before = shop.balance()
    item = shop.accept(key="key-of-the-refusal", **fields)
    refusal = shop.ask(item, items.Refusal)
    assert refusal.slug == slug
    assert not any(shop.rows_of(kind) for kind in (rows.Payment, rows.Order, rows.OutboxRow))
    assert shop.balance() == before
    assert len(shop.rows_of(rows.Nonce)) == len(shop.rows_of(rows.Record)) == 1
    keys = shop.rows_of(rows.Key)
    if PROBLEMS[slug].status not in DECIDES_KEY:
        assert keys == []
        return
    assert [(key.kind, key.gateway_serial) for key in keys] == [("REFUSED", None)]
    again = shop.ask(msgspec.structs.replace(item, arrival=shop.arrival()), items.Refusal)
    assert again == msgspec.structs.replace(refusal, replayed=True)


def test_closed_windows_say_when_to_come_back(shop: House) -> None:
    assert shop.ask(shop.accept(closed_for_s=7), items.Refusal).retry_after_s == 7
    assert shop.ask(shop.accept(service="shop.night"), items.Refusal).retry_after_s == 1800
    shop.advance(1800)
    assert shop.pay(service="shop.night").state == "RESERVED"


def test_amounts_at_the_edges_are_taken(shop: House) -> None:
    assert shop.pay(amount_fen=100).amount_fen == 100
    assert shop.pay(service="shop.cards", amount_fen=5_000).fee_fen == 100
    available = shop.balance()[0]
    shop.pay(amount_fen=available - 100)
    assert shop.balance()[0] == 0


def test_an_overdraft_limit_is_the_floor(tmp_path: Path) -> None:
    house = House(tmp_path, stations=0, durable=False)
    house.add_station(1, overdraft_limit_fen=5_000)
    house.pay(amount_fen=4_900)
    assert house.balance() == (-5_000, 5_000, 0)
    assert house.ask(house.accept(amount_fen=100, biller_account="4444"), items.Refusal).slug == "insufficient-balance"
    house.close()


SIGNERS: list[tuple[str, str, str]] = [
    ("certificates SET state = 'REVOKED'", "certificate-revoked", "revoked"),
    ("certificates SET state = 'FROZEN'", "certificate-revoked", "frozen"),
    ("certificates SET state = 'REPLACED'", "certificate-revoked", "replaced"),
    ("certificates SET state = 'EXPIRED'", "certificate-expired", "expired"),
    (f"certificates SET not_after = {NOON}", "certificate-expired", "at notAfter exactly"),
    (f"certificates SET not_before = {NOON + 1}", "certificate-expired", "not yet valid"),
    ("certificates SET state = 'BOUND'", "certificate-not-bound", "not active"),
    ("bindings SET unbound_at = bound_at", "certificate-not-bound", "unbound"),
    ("terminals SET state = 'STOLEN'", "certificate-not-bound", "terminal"),
    ("operators SET state = 'GONE'", "certificate-not-bound", "operator"),
    ("stations SET state = 'CLOSED'", "certificate-not-bound", "closed station"),
    ("certificates SET role = 'reply'", "certificate-unknown", "another role"),
]


@pytest.mark.parametrize(("change", "slug"), [case[:2] for case in SIGNERS], ids=[case[2] for case in SIGNERS])
def test_who_may_speak(house: House, change: str, slug: str) -> None:
    """design s6: valid signature is not enough. A 401 leaves the key free and moves nothing."""
    poke(house, "DROP TRIGGER certificates_no_update")  # nobody changes a role; were it changed, it would be seen
    poke(house, f"UPDATE {change}")
    for item in (house.accept(), items.Inquire(arrival=house.arrival(), key="key-of-the-inquiry")):
        assert house.ask(item, items.Refusal).slug == slug
    assert not any(house.rows_of(kind) for kind in (rows.Key, rows.Payment))


@pytest.mark.parametrize(
    ("created", "expires", "slug"),
    [
        (60, 300, None),
        (61, 300, "signature-expired"),
        (-300, 0, None),
        (-300, -1, "signature-expired"),
    ],
)
def test_the_signatures_window_holds_both_ends(house: House, created: int, expires: int, slug: str | None) -> None:
    now = house.now // 1000
    arrival = house.arrival(created=now + created, expires=now + expires)
    (reply,) = house.batch([house.accept(arrival=arrival)])
    assert getattr(reply, "slug", None) == slug


def test_unknown_signers_leave_no_row(house: House) -> None:
    refusal = house.ask(house.accept(arrival=house.arrival(keyid="ff" * 32)), items.Refusal)
    assert refusal.slug == "certificate-unknown"
    assert not any(house.rows_of(kind) for kind in (rows.Nonce, rows.Record))


def test_m2_no_overspend_within_one_batch(house: House) -> None:
    """Ten payments of a fifth each: those the balance covers are taken, the rest refused, in order."""
    asked = [house.accept(amount_fen=99_900, biller_account=f"5000{number}") for number in range(10)]
    replies = house.batch(asked)
    assert [type(reply) for reply in replies] == [items.Taken] * 5 + [items.Refusal] * 5
    assert house.balance() == (0, 500_000, 0)
    assert violations(house) == []


def test_partner_serials_are_counted_per_partner_and_day(house: House) -> None:
    house.batch([house.accept(biller_account=f"6000{n}") for n in range(3)])
    house.pay(biller_account="60009")
    house.pay(service="meters.card", biller_account="60008")
    serials = sorted(order.partner_serial for order in house.rows_of(rows.Order, "biller = 'acme'"))
    assert serials == [f"20261124{number:012d}" for number in (1, 2, 3, 4)]
    (meter,) = house.rows_of(rows.Order, "biller = 'meters'")
    assert meter.partner_serial == meter.order_serial
    house.advance(86_400)
    assert house.order_of(house.pay(biller_account="60007")).partner_serial == f"20261125{1:012d}"


def bill(house: House, station: int = 1, **changes: Any) -> str:
    """An answered bill query of acme.fetch for account 70001: 500 to 2,000 fen."""
    ask = items.AskBill(arrival=house.arrival(station), service="acme.fetch", biller_account="70001")
    token = house.ask(ask, items.Asked).query.query_token
    fields: dict[str, Any] = {"answer": b"{}", "total_fen": 2_000, "min_fen": 500, "max_fen": 2_000} | changes
    house.ask(items.AnswerBill(query_token=token, entropy=house.entropy(), **fields), items.Kept)
    return token


def fetch(house: House, token: str, station: int = 1, **changes: Any) -> items.Accept:
    fields: dict[str, Any] = {
        "service": "acme.fetch",
        "biller_account": "70001",
        "amount_fen": 1_000,
        "query_token": token,
    }
    return house.accept(station, **(fields | changes))


def test_pay_02_a_query_token_buys_once_even_within_a_batch(house: House) -> None:
    token = bill(house)
    replies = house.batch([fetch(house, token), fetch(house, token, amount_fen=1_500)])
    assert [getattr(reply, "slug", None) for reply in replies] == [None, "query-token-stale"]
    payment = house.settle(replies[0].payment, "Declined", reason="amount")
    assert payment.state == "FAILED"
    assert house.ask(fetch(house, token), items.Refusal).slug == "query-token-stale"


def test_pay_02_a_query_token_fits_one_station_account_service_and_amount(house: House) -> None:
    token = bill(house)
    for item, slug in (
        (fetch(house, token, station=2), "query-token-stale"),
        (fetch(house, token, biller_account="70002"), "query-token-stale"),
        (fetch(house, token, service="acme.bill"), "query-token-stale"),
        (fetch(house, token, amount_fen=499), "amount-out-of-range"),
        (fetch(house, token, amount_fen=2_001), "amount-out-of-range"),
        (fetch(house, bill(house, problem="account-not-found")), "query-token-stale"),
    ):
        assert house.ask(item, items.Refusal).slug == slug
    house.advance(1800)
    assert house.ask(fetch(house, token), items.Refusal).slug == "query-token-stale"
    assert house.ask(fetch(house, bill(house)), items.Taken).payment.state == "RESERVED"


def test_a_bill_answer_that_comes_too_late_or_twice_changes_nothing(house: House) -> None:
    ask = items.AskBill(arrival=house.arrival(), service="acme.fetch", biller_account="70001")
    token = house.ask(ask, items.Asked).query.query_token
    assert house.ask(ask, items.Asked).query.query_token == token  # a redo is the same query
    assert len(house.rows_of(rows.QueryToken)) == len(house.rows_of(rows.Record)) == 1
    house.advance(60)
    late = items.AnswerBill(query_token=token, entropy=1, answer=b"{}", max_fen=9)
    assert house.ask(late, items.Kept).count == 0
    token = bill(house)
    assert house.ask(msgspec.structs.replace(late, query_token=token), items.Kept).count == 0


def test_bill_queries_pass_the_gates_of_form_and_service(house: House) -> None:
    for fields, slug in (
        ({"service": "meters.card", "biller_account": "70001"}, "service-not-open"),
        ({"service": "nobody.bill", "biller_account": "70001"}, "service-not-open"),
        ({"service": "acme.fetch", "biller_account": "x"}, "malformed"),
        ({"service": "acme.fetch", "biller_account": "70001", "closed_for_s": 3}, "biller-closed"),
    ):
        ask = items.AskBill(arrival=house.arrival(), **fields)
        assert house.ask(ask, items.Refusal).slug == slug
    assert house.rows_of(rows.QueryToken) == []


def test_a_certificates_station_pays_whatever_the_body_says(house: House) -> None:
    payment = house.ask(house.accept(2), items.Taken).payment
    assert (payment.institution_code, payment.terminal_id) == (code(2), "T1")
    assert keyid(2) != keyid(1)
