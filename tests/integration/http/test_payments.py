"""The way of a payment as a terminal sees it: taken, held, final, repeated, taken back (M3, M5, M6, M7, M8)."""

import asyncio
import json
from typing import Any

import pytest

from gateway.core import items
from tests.integration.http.house import House, eventually
from tests.integration.http.shops import Shop, new_key


async def test_a_payment_is_taken_and_becomes_final(house: House) -> None:
    """PAY-01: cash received goes along; 202 with Location, then 200 with what the biller said."""
    shop = await house.shop()
    taken = await shop.pay(1000, cash_received_fen=1200)
    payment = taken.json
    serial = payment["gateway_serial"]
    assert (taken.status, payment["state"], taken.signed) == (202, "RESERVED", True)
    assert taken.header("Location") == f"/v1/payments/{serial}"
    assert taken.header("Cache-Control") == "no-store, no-transform"
    assert taken.header("Idempotent-Replayed") is None
    assert (payment["fee_fen"], payment["paid_fen"], payment["params"]) == (100, None, {"carrier": "cmcc"})
    await house.paid(serial, 1000)
    shown = await shop.get(f"/v1/payments/{serial}")
    assert (shown.status, shown.json["state"], shown.json["paid_fen"]) == (200, "SUCCESS", 1000)
    assert (shown.json["shop_text"], shown.json["final_at"] is not None) == ("缴费成功", True)


async def test_the_held_call_ends_with_the_outcome(house: House) -> None:
    shop = await house.shop()
    key = new_key()
    call = asyncio.create_task(shop.pay(2000, key=key, wait=20))
    await eventually(lambda: house.server.holding.held == 1)
    (serial,) = house.sql("SELECT gateway_serial FROM payments")[0]
    # A call's own answer that differs from its request is asked about first; the wait goes on meanwhile.
    await house.paid(serial, 1500)
    assert await house.state(serial) == "UNKNOWN"
    await house.paid(serial, 1500)
    reply = await asyncio.wait_for(call, 5)
    assert (reply.status, reply.json["state"]) == (201, "SUCCESS")
    assert reply.json["shop_text"] == "部分成功：实缴15.00元，未缴5.00元已退回预存账户，请退还顾客差额"
    assert (house.server.holding.held, house.server.holding.in_flight) == (0, 0)


async def test_a_missed_wake_is_made_up_for(house: House) -> None:
    """A wake that never comes: the held call looks by itself."""
    shop = await house.shop()
    await house.reopen(waiters=_Deaf())
    shop.port = house.port
    call = asyncio.create_task(shop.pay(2000, wait=20))
    await eventually(lambda: house.server.holding.held == 1)
    (serial,) = house.sql("SELECT gateway_serial FROM payments")[0]
    await house.paid(serial, 2000)
    assert (await asyncio.wait_for(call, 5)).status == 201


class _Deaf:
    async def wait(self, serial: str, seconds: float, /) -> None:
        """Never wakes early."""
        await asyncio.sleep(seconds)


async def test_in_doubt_is_no_failure(house: House) -> None:
    """M5: 202, the shop is told neither to collect again nor to give back."""
    shop = await house.shop()
    call = asyncio.create_task(shop.pay(2000, wait=1))
    await eventually(lambda: house.server.holding.held == 1)
    (serial,) = house.sql("SELECT gateway_serial FROM payments")[0]
    await house.judge(serial, "Unknown", cause="reset-after-send")
    reply = await call
    assert (reply.status, reply.json["state"]) == (202, "UNKNOWN")
    assert reply.json["shop_text"] == "结果待查：请勿重复收款，也暂不退款，稍后查询末笔交易"
    assert reply.json["in_doubt"]["rung"] == 1
    assert reply.json["in_doubt"]["next_step_at"] is not None


async def test_a_decided_failure_answers_201_with_the_billers_reason(house: House) -> None:
    shop = await house.shop()
    key = new_key()
    body: dict[str, Any] = {"biller_account": "13900000001"}
    serial = (await shop.pay(2000, key=key, **body)).json["gateway_serial"]
    await house.judge(serial, "Declined", resp_code="E07", reason="account-state")
    reply = await shop.pay(2000, key=key, **body)
    assert (reply.status, reply.json["state"], reply.json["reason"]) == (201, "FAILED", "account-state")
    assert reply.json["shop_text"] == "缴费失败：号码已停机，请核对。款项已退回预存账户"


async def test_a_repeated_request_is_the_same_payment(house: House) -> None:
    """M3: one key, one effect; spaces and order of members are no difference, one fen is."""
    shop = await house.shop()
    key = new_key()
    fields = '"service":"mobile.topup","amount_fen":1000,"terminal_trace":"1","params":{"carrier":"cmcc"}'
    first = await shop.post("/v1/payments", f'{{{fields},"biller_account":"13900000001"}}'.encode(), key=key)
    again = await shop.post("/v1/payments", f'{{ "biller_account":"13900000001", {fields}}}'.encode(), key=key)
    assert (first.status, again.status) == (202, 202)
    assert again.json["gateway_serial"] == first.json["gateway_serial"]
    assert (first.header("Idempotent-Replayed"), again.header("Idempotent-Replayed")) == (None, "true")
    other = fields.replace("1000", "1001")
    reused = await shop.post("/v1/payments", f'{{{other},"biller_account":"13900000001"}}'.encode(), key=key)
    assert (reused.status, reused.slug, reused.json["field"]) == (422, "key-reused", "Idempotency-Key")
    balance = (await shop.get("/v1/account")).json
    assert (balance["available_fen"], balance["reserved_fen"]) == (498_900, 1_100)
    # One key space over all routes: the key of a payment opens no cancel.
    serial = first.json["gateway_serial"]
    crossed = await shop.post(f"/v1/payments/{serial}/cancellations", {"reason": "x"}, key=key)
    assert (crossed.status, crossed.slug) == (422, "key-reused")


async def test_a_refused_key_stays_refused(house: House) -> None:
    shop = await house.shop(money_fen=0)
    key = new_key()
    account: dict[str, Any] = {"biller_account": "13900000001"}
    refused = await shop.pay(1000, key=key, **account)
    assert (refused.status, refused.slug) == (422, "insufficient-balance")
    assert "需11.00元" in refused.json["shop_text"]
    await house.deposit(shop.code, 100_000)
    again = await shop.pay(1000, key=key, **account)
    assert (again.status, again.slug, again.header("Idempotent-Replayed")) == (422, "insufficient-balance", "true")
    asked = await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    assert (asked.status, asked.json["found"]) == (200, True)
    assert asked.json["problem"]["type"] == "urn:bianmin:problem:insufficient-balance"
    assert (await shop.pay(1000, **account)).status == 202


async def test_an_inquiry_before_its_request_bars_it(house: House) -> None:
    """M6: tombstone first, then however late the original comes."""
    shop = await house.shop()
    key = new_key()
    asked = await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    assert (asked.status, asked.json) == (200, {"found": False, "tombstone": True})
    late = await shop.pay(1000, key=key)
    assert (late.status, late.slug, late.signed) == (409, "tombstoned", True)
    assert house.sql("SELECT count(*) FROM payments") == [(0,)]
    assert (await shop.post("/v1/payment-inquiries", {"idempotency_key": key})).json["tombstone"] is True


async def test_an_inquiry_after_its_request_finds_the_payment(house: House) -> None:
    shop, other = await house.shop(), await house.shop()
    key = new_key()
    serial = (await shop.pay(1000, key=key)).json["gateway_serial"]
    asked = await shop.post("/v1/payment-inquiries", {"idempotency_key": key})
    assert (asked.json["found"], asked.json["payment"]["gateway_serial"]) == (True, serial)
    assert set(asked.json) == {"found", "payment"}
    # The same key of another station is another key.
    assert (await other.post("/v1/payment-inquiries", {"idempotency_key": key})).json["tombstone"] is True


async def test_an_inquiry_waits_for_a_request_that_is_being_decided(house: House) -> None:
    """api s1: sent and not yet decided is not `not found`, also where the book would take inquiries first."""
    shop = await house.shop()
    key, gate, order = new_key(), asyncio.Event(), list[str]()
    real = house.store.run

    async def run(item: object) -> object:
        if isinstance(item, items.Accept):
            await gate.wait()
        order.append(type(item).__name__)
        return await real(item)

    house.store.run = run  # type: ignore[method-assign]
    paying = asyncio.create_task(shop.pay(1000, key=key))
    await eventually(lambda: house.server.holding.in_flight == 1)
    asking = asyncio.create_task(shop.post("/v1/payment-inquiries", {"idempotency_key": key}))
    await eventually(lambda: house.server.holding.in_flight == 2)
    gate.set()
    assert (await asking).json["payment"]["gateway_serial"] == (await paying).json["gateway_serial"]
    assert order == ["Accept", "Inquire"]


async def test_the_second_payment_of_one_account_needs_a_confirmation(house: House) -> None:
    """M7: from any station; the other's serial is not told, and the token is good for one answer."""
    shop, other = await house.shop(), await house.shop()
    account: dict[str, Any] = {"biller_account": "13900000001"}
    first = await shop.pay(1000, **account)
    mine = await shop.pay(1000, **account)
    theirs = await other.pay(1000, **account)
    assert (mine.status, mine.slug, theirs.slug) == (409, "repeat-in-doubt", "repeat-in-doubt")
    assert mine.json["gateway_serial"] == first.json["gateway_serial"]
    assert "gateway_serial" not in theirs.json
    token = theirs.json["repeat_token"]
    assert (await shop.pay(1000, confirm_repeat=token, **account)).slug == "repeat-in-doubt"
    assert (await other.pay(1000, confirm_repeat=token, **account)).status == 202


async def test_cancel_of_what_was_not_sent_is_at_once(house: House) -> None:
    shop = await house.shop()
    serial = (await shop.pay(1000)).json["gateway_serial"]
    reply = await shop.post(f"/v1/payments/{serial}/cancellations", {"reason": "录入错误"}, key=new_key())
    assert (reply.status, reply.json["state"], reply.json["reason"]) == (201, "FAILED", "given-up")
    assert (await shop.get("/v1/account")).json["available_fen"] == 500_000


async def test_one_key_cancels_one_payment(house: House) -> None:
    """M3: the same body about another payment is another request."""
    shop = await house.shop()
    serials = [(await shop.pay(1000)).json["gateway_serial"] for _ in range(2)]
    key, body = new_key(), {"reason": "录入错误"}
    assert (await shop.post(f"/v1/payments/{serials[0]}/cancellations", body, key=key)).status == 201
    other = await shop.post(f"/v1/payments/{serials[1]}/cancellations", body, key=key)
    assert (other.status, other.slug) == (422, "key-reused")
    assert await house.state(serials[1]) == "RESERVED"


async def test_cancel_of_a_bill(house: House) -> None:
    """M8: 撤销 is an order of its own, in doubt until the biller has answered it."""
    shop = await house.shop()
    serial = await _paid_bill(house, shop)
    key, asked = new_key(), {"reason": "录入错误"}
    cancel = await shop.post(f"/v1/payments/{serial}/cancellations", asked, key=key)
    assert (cancel.status, cancel.json["state"]) == (202, "CANCELLING"), cancel.body
    assert cancel.json["in_doubt"] is not None
    ((order,),) = house.sql("SELECT order_serial FROM orders WHERE kind = 'CANCEL'")
    await house.judge(serial, "Undone", order_serial=order)
    again = await shop.post(f"/v1/payments/{serial}/cancellations", asked, key=key)
    assert (again.status, again.json["state"], again.header("Idempotent-Replayed")) == (201, "CANCELLED", "true")
    refund = {"amount_fen": 50, "reason": "多缴"}
    refused = await shop.post(f"/v1/payments/{serial}/refunds", refund, key=new_key())
    assert (refused.status, refused.slug) == (409, "state-conflict")


async def test_a_refused_cancel_is_told_wherever_the_payment_is_shown(house: House) -> None:
    """M8: the payment is SUCCESS again; the shop hears that it was not cancelled and why, not just that it is paid."""
    shop = await house.shop()
    serial = await _paid_bill(house, shop)
    key, asked, path = new_key(), {"reason": "录入错误"}, f"/v1/payments/{serial}/cancellations"
    cancel = asyncio.create_task(shop.post(path, asked, key=key, prefer="wait=20"))
    await eventually(lambda: house.server.holding.held == 1)
    ((order,),) = house.sql("SELECT order_serial FROM orders WHERE kind = 'CANCEL'")
    await house.judge(serial, "StillPaid", order_serial=order, resp_code="E07", reason="invoice-printed")
    held, again = await cancel, await shop.post(path, asked, key=key)
    assert (held.status, again.status, again.header("Idempotent-Replayed")) == (201, 201, "true")
    inquired = (await shop.post("/v1/payment-inquiries", {"idempotency_key": key})).json["payment"]
    looked = (await shop.get(f"/v1/payments/{serial}")).json
    listed = (await shop.get("/v1/payments?state=SUCCESS")).json["items"][0]
    for shown in (held.json, again.json, inquired, looked, listed):
        assert (shown["state"], shown["reason"]) == ("SUCCESS", "invoice-printed")
        assert shown["shop_text"] == "撤销未成功：发票已打印，不能撤销。原缴费仍然有效，请勿退款"
    # Asked for once more and done: nothing is left of the refusal.
    second = await shop.post(path, asked, key=new_key())
    assert (second.json["state"], second.json["reason"]) == ("CANCELLING", None)
    ((order,),) = house.sql("SELECT order_serial FROM orders WHERE kind = 'CANCEL' AND state = 'READY'")
    await house.judge(serial, "Undone", order_serial=order)
    assert (await shop.get(f"/v1/payments/{serial}")).json["shop_text"].startswith("已撤销")


async def test_null_for_an_optional_field_is_the_same_request(house: House) -> None:
    """M3, 0015: a retry by a library that writes what it does not know as null."""
    shop = await house.shop()
    key = new_key()
    account: dict[str, Any] = {"biller_account": "13900000001", "terminal_trace": "1"}
    first = await shop.pay(1000, key=key, **account)
    again = await shop.pay(1000, key=key, **account, query_token=None, cash_received_fen=None)
    assert (again.status, again.json["gateway_serial"]) == (202, first.json["gateway_serial"])
    other = await shop.pay(1000, key=key, **account, cash_received_fen=1200)
    assert (other.status, other.slug) == (422, "key-reused")


async def test_refund_of_a_bill(house: House) -> None:
    """M8: 退费 is a payment of its own that waits for approval; both together would give the money back twice."""
    shop = await house.shop()
    serial = await _paid_bill(house, shop)
    key, asked = new_key(), {"amount_fen": 50, "reason": "多缴"}
    refund = await shop.post(f"/v1/payments/{serial}/refunds", asked, key=key)
    assert (refund.status, refund.json["cancels"]) == (202, serial)
    assert (refund.json["shop_text"], refund.json["state"]) == ("退费申请已登记，等待审批", "RESERVED")
    assert refund.header("Location") == f"/v1/payments/{refund.json['gateway_serial']}"
    again = await shop.post(f"/v1/payments/{serial}/refunds", asked, key=key)
    assert again.json["gateway_serial"] == refund.json["gateway_serial"]
    cancel = await shop.post(f"/v1/payments/{serial}/cancellations", {"reason": "x"}, key=new_key())
    assert (cancel.status, cancel.slug) == (409, "state-conflict")
    more = {"amount_fen": 5_050, "reason": "x"}
    too_much = await shop.post(f"/v1/payments/{serial}/refunds", more, key=new_key())
    assert (too_much.status, too_much.slug) == (422, "amount-out-of-range")


async def _paid_bill(house: House, shop: Shop) -> str:
    asked = await shop.post(
        "/v1/bill-queries", {"service": "power.bill", "biller_account": "46001234"}, prefer="wait=0"
    )
    token = asked.json["query_token"]
    await house.answer_bill(token)
    taken = await shop.pay(5050, service="power.bill", biller_account="46001234", params={}, query_token=token)
    serial: str = taken.json["gateway_serial"]
    await house.paid(serial, 5050)
    return serial


@pytest.mark.parametrize(("result", "state", "status"), [("ok", "WRITTEN", 201), ("failed", "WRITE_FAILED", 202)])
async def test_card_writes(house: House, result: str, state: str, status: int) -> None:
    shop = await house.shop()
    taken = await shop.pay(5000, service="power.card", params={})
    serial = taken.json["gateway_serial"]
    await house.paid(serial, 5000)
    waiting = (await shop.get(f"/v1/payments/{serial}")).json
    assert (waiting["state"], waiting["shop_text"]) == ("PAID_WAIT_WRITE", "已缴费，请立即写卡")
    key = new_key()
    reply = await shop.post(f"/v1/payments/{serial}/card-writes", {"result": result, "card_data": "00ff"}, key=key)
    assert (reply.status, reply.json["state"]) == (status, state), reply.body
    # Repeatable after a failure, under a new key.
    again = await shop.post(f"/v1/payments/{serial}/card-writes", {"result": "ok"}, key=new_key())
    assert again.json["state"] == "WRITTEN"


async def test_the_list_of_payments(house: House) -> None:
    """Newest first, page by page, narrowed; never another station's."""
    shop, other = await house.shop(), await house.shop()
    serials = [(await shop.pay(1000 + n)).json["gateway_serial"] for n in range(5)]
    await other.pay(7000)
    await house.paid(serials[0], 1000)
    seen, cursor = list[str](), ""
    for _ in range(3):
        page = (await shop.get(f"/v1/payments?limit=2{cursor}")).json
        seen += [payment["gateway_serial"] for payment in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sorted(serials, reverse=True)
    assert cursor == "&cursor=None"
    done = (await shop.get("/v1/payments?state=SUCCESS")).json["items"]
    assert [payment["gateway_serial"] for payment in done] == [serials[0]]
    account = done[0]["biller_account"]
    day = done[0]["account_date"]
    assert len((await shop.get(f"/v1/payments?biller_account={account}&account_date={day}")).json["items"]) == 1
    assert (await shop.get("/v1/payments?account_date=2001-01-01")).json == {"items": [], "next_cursor": None}


async def test_each_decided_request_is_counted(house: House) -> None:
    """The metrics hook hears what became of each payment request: taken, replayed, or the problem's slug."""
    shop = await house.shop()
    key = new_key()
    await shop.pay(key=key, biller_account="13900000001")
    await shop.pay(key=key, biller_account="13900000001")
    await shop.pay(key=key, biller_account="13900000002")
    assert house.accepted == ["taken", "replayed", "key-reused"]


async def test_the_terminals_trace_goes_with_the_payment(house: House) -> None:
    """A well-formed traceparent names the payment's trace; anything else is ignored, and two may share one."""
    shop = await house.shop()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    lines = [f"00-{trace}-00f067aa0ba902b7-01", f"00-{trace}-00f067aa0ba902b7-01", "00-nonsense"]
    for number, line in enumerate(lines):
        body = {
            "service": "mobile.topup",
            "biller_account": f"1390000000{number}",
            "amount_fen": 1000,
            "terminal_trace": "000001",
            "params": {"carrier": "cmcc"},
        }
        request = shop.sign("POST", "/v1/payments", json.dumps(body).encode(), key=new_key())
        request.headers["traceparent"] = line
        assert (await shop.send(request)).status == 202
    found = [row[0] for row in house.sql("SELECT trace_id FROM payments ORDER BY gateway_serial")]
    assert found[:2] == [trace, trace]
    assert found[2] != trace
    assert len(found[2]) == 32
