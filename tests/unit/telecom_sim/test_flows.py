"""Every number of the test platform, every code of the flows (telecom interface 3.4 s5, s7, s8, s12)."""

import pytest

from adapters.kit.control import Control, ControlError
from adapters.telecom.simulator.numbers import fate_of, half
from tests.unit.telecom_sim.agent import AT, PAY, AgentClient, number


@pytest.mark.parametrize(
    ("acc_no", "isp_code", "query", "pay"),
    [
        ("13800000001", "1", "0000", "0000"),
        ("13800000003", "1", "2011", "2011"),
        ("13800000003", "3", "0000", "2014"),
        ("13800000004", "1", "2015", "2015"),
        ("13800000005", "1", "2012", "2012"),
        ("13812345404", "4", "2011", "2011"),
        ("13800000008", "1", "0000", "2010"),
        ("13800000009", "1", "0000", "9002"),
        ("13800000010", "1", "0000", "9002"),
        ("13800000012", "1", "0000", "2016"),
        ("13800000013", "1", "0000", "2030"),
    ],
)
async def test_bill_numbers(
    agent: AgentClient, control: Control, *, acc_no: str, isp_code: str, query: str, pay: str
) -> None:
    found = await agent.call("bill/query", ispCode=isp_code, accType="01", accNo=acc_no)
    assert found["code"] == query
    query_no = found.get("queryNo", "Q" + "0" * 23)
    order = {**PAY, "orderNo": number(1), "accNo": acc_no, "ispCode": isp_code, "queryNo": query_no}
    assert (await agent.call("bill/pay", **order))["code"] == pay
    (line,) = await control.book()
    expected = {"0000": "booked", "9002": "pending"}.get(pay, "failed")
    assert (line.state, line.fail_code) == (expected, pay if expected == "failed" else "")


async def test_arrears_that_are_gone_after_the_first_payment(agent: AgentClient) -> None:
    early = await agent.pay_members(number(2), "13800000006")
    assert (await agent.pay(number(1), "13800000006"))["code"] == "0000"
    assert (await agent.call("bill/query", ispCode="1", accType="01", accNo="13800000006"))["code"] == "2015"
    assert (await agent.call("bill/pay", **early))["code"] == "2015"


async def test_the_query_number(agent: AgentClient, control: Control) -> None:
    """Bound, 30 minutes, good for one order that was booked or is in progress, unaffected by a refusal (s4)."""
    query_no = await agent.query_no("13800000010")

    async def pay(last: int, acc_no: str = "13800000010", amount: str = "35.60", query: str = query_no) -> str:
        order = {**PAY, "orderNo": number(last), "accNo": acc_no, "amount": amount, "queryNo": query}
        return (await agent.call("bill/pay", **order))["code"]

    assert await pay(1, "13800000001") == "2013"
    assert await pay(2, amount="0.99") == "2014"
    assert await pay(3, amount="535.61") == "2014"
    assert await pay(4) == "9002"
    assert await pay(5) == "2013"
    await control.clock(21)
    assert await pay(6) == "9002", "the order that used it has failed"
    other = await agent.query_no()
    await control.clock(21 + 1801)
    agent.now = (AT or 0) + 1822
    assert await pay(7, "13800000001", "36.51", other) == "2013"


@pytest.mark.parametrize(("acc_no", "state", "code"), [("13800000009", "2", ""), ("13800000010", "4", "2012")])
async def test_a_silent_carrier(agent: AgentClient, control: Control, acc_no: str, state: str, code: str) -> None:
    order = await agent.pay_members(number(1), acc_no)
    assert (await agent.call("bill/pay", **order))["code"] == "9002"
    assert (await agent.call("bill/pay", **order))["code"] == "2003"
    assert (await agent.reverse(number(2), number(1), acc_no))["code"] == "2003"
    await control.clock(19)
    assert (await agent.order(number(1)))["state"] == "1"
    await control.clock(20)
    found = await agent.order(number(1))
    assert (found["state"], found.get("failCode", ""), found.get("acctDate")) == (
        state,
        code,
        "20261124" if state == "2" else None,
    )


async def test_reversals(agent: AgentClient, control: Control) -> None:
    await agent.pay(number(1))
    await agent.top_up(number(2), "13900000006")
    await agent.pay(number(3), "13800000011")
    await agent.pay(number(4), "13800000014")
    await agent.pay(number(5), "13800000008")  # refused
    await agent.pay(number(6))

    async def reverse(rev: int, last: int, acc_no: str = "13800000001", **other: str) -> tuple[str, str]:
        reply = await agent.reverse(number(rev), number(last), acc_no, **other)
        return reply["code"], reply.get("revFlag", "") + reply.get("revNo", "")[-2:]

    assert await reverse(10, 2, "13900000006", amount="50.00") == ("2019", "10")
    assert await reverse(10, 3, "13800000011") == ("2011", "10")
    assert await reverse(10, 4, "13800000014") == ("2012", "10")
    assert await reverse(10, 5, "13800000008") == ("2404", "10")
    assert await reverse(10, 99) == ("2404", "10")
    assert await reverse(10, 1, amount="36.52") == ("2014", "10")
    assert await reverse(10, 1, "13800000002") == ("2014", "10")
    assert await reverse(6, 1) == ("2002", "06"), "the number of a payment"
    assert await reverse(10, 1) == ("0000", "110")
    assert await reverse(10, 1) == ("0000", "210")
    assert await reverse(11, 1) == ("0000", "210"), "another revNo gives the first one back"
    assert await reverse(10, 6) == ("2002", "10")
    found = await agent.order(number(10), "3")
    assert (found["state"], found["origOrderNo"], found["succAmount"]) == ("2", number(1), "36.51")
    await control.clock(13 * 3600)
    agent.now += 13 * 3600
    assert await reverse(12, 6) == ("2010", "12")
    assert await reverse(12, 1) == ("0000", "210"), "a repeat knows no cut-over"
    states = {line.order_no: (line.state, line.reversed_by) for line in await control.book()}
    assert states[number(1)] == ("reversed", number(10))
    assert states[number(6)] == ("booked", "")
    assert number(11) not in states
    assert number(12) not in states


@pytest.mark.parametrize(
    ("acc_no", "face", "isp_code", "code"),
    [
        ("13900000005", "50.00", "1", "2012"),
        ("13900000013", "50.00", "1", "2030"),
        ("13912345404", "50.00", "1", "2011"),
        ("13900000001", "40.00", "1", "2010"),
        ("13900000001", "10.00", "4", "2010"),
        ("13900000001", "50.50", "1", "1001"),
        ("13900000001", "50.00", "4", "0000"),
    ],
)
async def test_top_up_answers(agent: AgentClient, acc_no: str, face: str, isp_code: str, code: str) -> None:
    reply = await agent.top_up(number(1), acc_no, faceValue=face, ispCode=isp_code)
    assert (reply["code"], reply["orderNo"]) == (code, number(1))


async def test_top_up_results(agent: AgentClient, control: Control) -> None:
    for last, suffix in enumerate(("02", "03", "04", "06", "07"), 1):
        assert (await agent.top_up(number(last), f"139000000{suffix}"))["code"] == "0000"

    async def states() -> list[str]:
        return [(await agent.order(number(last), "2"))["state"] for last in range(1, 6)]

    assert await states() == ["0", "0", "0", "2", "0"]
    await control.clock(10)
    assert await states() == ["4", "3", "1", "2", "1"]
    await control.clock(90_000)
    agent.now = (AT or 0) + 90_000
    assert await states() == ["4", "3", "2", "2", "1"]
    partial = await agent.order(number(2), "2")
    assert (partial["amount"], partial["succAmount"], partial["acctDate"]) == ("50.00", "20.00", "20261124")
    assert (await agent.order(number(3), "2"))["acctDate"] == "20261125", "dated by its end"
    with pytest.raises(ControlError, match="409"):
        await control.decide(number(5), 3, 5000)
    await control.decide(number(5), 3, 1000)
    with pytest.raises(ControlError, match="409"):
        await control.decide(number(5), 2)
    assert (await agent.order(number(5), "2"))["succAmount"] == "10.00"


async def test_a_failed_number_becomes_a_new_order(agent: AgentClient, control: Control) -> None:
    first = await agent.top_up(number(1), "13900000002")
    await control.clock(1)
    await control.clock(61)
    assert (await agent.top_up(number(1), "13900000006"))["code"] == "2018"
    await control.clock(62)
    second = await agent.top_up(number(1), "13900000006")
    assert second["platNo"] != first["platNo"]
    found = await agent.order(number(1), "2")
    assert (found["orderSeq"], found["state"], found["platNo"]) == ("2", "2", second["platNo"])
    assert (await agent.top_up(number(1), "13900000006"))["code"] == "2001"
    assert (await agent.top_up(number(1), "13900000001"))["code"] == "2002"
    assert (await agent.pay(number(1)))["code"] == "2002"
    one, two = await control.book(number(1))
    assert (one.order_seq, one.state, one.received) == (1, "failed", 2)
    assert (two.order_seq, two.state, two.received) == (2, "booked", 4)


async def test_order_query_forgets_after_72_hours(agent: AgentClient, control: Control) -> None:
    await agent.pay(number(1))
    assert (await agent.order(number(1), "2"))["code"] == "2404", "another type"
    for offset, code in ((72 * 3600, "0000"), (72 * 3600 + 1, "2404")):
        await control.clock(offset)
        agent.now = (AT or 0) + offset
        assert (await agent.order(number(1)))["code"] == code


def test_halves() -> None:
    assert [half(amount) for amount in (1000, 2000, 3000, 5000, 30000)] == [1000, 1000, 1000, 2000, 15000]
    assert fate_of("13900000003", 1000).state == 2
