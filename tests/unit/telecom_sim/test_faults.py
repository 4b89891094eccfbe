"""Each fault does what its name says, and the book says what was done (design s5)."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
import pytest
from aiohttp import web

from adapters.kit.control import Control, ControlError
from adapters.kit.faults import NOTICE_KINDS, Fault, Kind
from adapters.telecom.signing import SignType, check, read_object
from adapters.telecom.simulator import Limits, Options, Running, start
from adapters.telecom.simulator.agents import AGENTS
from adapters.telecom.simulator.staging import SUPPORTED
from tests.unit.telecom_sim.agent import AT, TOP_UP, AgentClient, exchange, http, number

KEY = AGENTS["8801000123"].keys["01"]


async def pay_under(agent: AgentClient, control: Control, fault: Fault) -> tuple[int, bytes]:
    members = await agent.pay_members(number(1))
    await control.set_faults(fault)
    return await agent.raw("bill/pay", members)


async def booked(control: Control) -> int:
    """How often order 1 is in the book as booked."""
    return sum(line.state == "booked" and line.amount_fen == 3651 for line in await control.book(number(1)))


@pytest.mark.parametrize(
    ("fault", "status", "paid"),
    [
        (Fault("bill/pay", Kind.CUT_BEFORE), 0, 0),
        (Fault("*", Kind.UNPAID_SILENT, delay_s=0.2), 0, 0),
        (Fault("bill/pay", Kind.HTTP_500_UNPAID), 500, 0),
        (Fault("bill/pay", Kind.PAID_THEN_CUT), 0, 1),
        (Fault("bill/pay", Kind.PAID_THEN_SILENT, delay_s=0.2), 0, 1),
        (Fault("bill/pay", Kind.HTTP_500_PAID), 500, 1),
    ],
)
async def test_no_reply(agent: AgentClient, control: Control, fault: Fault, status: int, paid: int) -> None:
    began = monotonic()
    assert await pay_under(agent, control, fault) == (status, b"")
    assert monotonic() - began >= fault.delay_s
    assert await booked(control) == paid
    assert (await agent.pay(number(1)))["code"] == ("2001" if paid else "0000")


async def test_a_real_reset(agent: AgentClient, control: Control) -> None:
    with pytest.raises(ConnectionResetError):
        await pay_under(agent, control, Fault("bill/pay", Kind.PAID_THEN_RESET))
    assert await booked(control) == 1


@pytest.mark.parametrize(
    ("fault", "code", "changed", "paid"),
    [
        (Fault("bill/pay", Kind.BUSY_PAID), "9003", {}, 1),
        (Fault("bill/pay", Kind.BUSY_UNPAID), "9003", {}, 0),
        (Fault("bill/pay", Kind.MAINTENANCE), "9005", {}, 0),
        (Fault("bill/pay", Kind.DECLINE, code="2031"), "2031", {}, 0),
        (Fault("bill/pay", Kind.UNMAPPED_CODE), "7777", {"amount": "36.51"}, 1),
        (Fault("bill/pay", Kind.UNMAPPED_CODE, code="6543"), "6543", {"amount": "36.51"}, 1),
        (Fault("bill/pay", Kind.WRONG_AMOUNT), "0000", {"amount": "36.52", "orderNo": number(1)}, 1),
        (Fault("bill/pay", Kind.WRONG_SERIAL), "0000", {"amount": "36.51", "orderNo": number(2)}, 1),
        (Fault("bill/pay", Kind.EXTRA_MEMBER), "0000", {"zzNote": "a=b&c"}, 1),
        (Fault("bill/pay", Kind.SLOW, delay_s=0.1), "0000", {"amount": "36.51"}, 1),
        (Fault("bill/pay", Kind.PAID_THEN_LATE, delay_s=0.1), "0000", {"amount": "36.51"}, 1),
        (Fault("bill/pay", Kind.LATE_ARRIVAL, delay_s=0.1), "0000", {"amount": "36.51"}, 1),
    ],
)
async def test_replies(
    agent: AgentClient, control: Control, *, fault: Fault, code: str, changed: dict[str, str], paid: int
) -> None:
    """All rightly signed."""
    status, body = await pay_under(agent, control, fault)
    reply = read_object(body, 65_536)
    assert check(SignType.HMAC, KEY, reply)
    assert (status, reply["code"], reply["orderNo"][:19]) == (200, code, number(1)[:19])
    assert {name: reply.get(name) for name in changed} == changed
    assert await booked(control) == paid
    found = await agent.order(number(1))
    assert found["code"] == ("0000" if paid or fault.kind is Kind.DECLINE else "2404")
    if fault.kind is Kind.DECLINE:
        assert (found["state"], found["failCode"]) == ("4", "2031")


async def test_bad_signature_and_garbage(agent: AgentClient, control: Control) -> None:
    _, body = await pay_under(agent, control, Fault("bill/pay", Kind.BAD_SIGNATURE))
    reply = read_object(body, 65_536)
    assert reply["code"] == "0000"
    assert len(reply["sign"]) == 64
    assert not check(SignType.HMAC, KEY, reply)
    await control.set_faults(Fault("order/query", Kind.GARBAGE))
    status, body = await agent.raw("order/query", {"orderNo": number(1), "orderType": "1"})
    assert status == 200
    with pytest.raises(ValueError):
        read_object(body, 65_536)
    assert await booked(control) == 1


async def test_when_it_is_done(agent: AgentClient, control: Control) -> None:
    """late: at once, told later. slow: later, told then. A late arrival is seen by nobody before it comes."""
    for kind, last, seen in ((Kind.PAID_THEN_LATE, 1, 1), (Kind.SLOW, 2, 0), (Kind.LATE_ARRIVAL, 3, 0)):
        members = await agent.pay_members(number(last))
        await control.set_faults(Fault("bill/pay", kind, delay_s=0.4))
        call = asyncio.ensure_future(agent.raw("bill/pay", members))
        await asyncio.sleep(0.2)
        assert len(await control.book(number(last))) == seen
        assert (await call)[0] == 200
        assert len(await control.book(number(last))) == 1


async def test_what_arrives_too_late_is_refused(agent: AgentClient, control: Control) -> None:
    """Its timestamp is judged when it arrives (telecom interface 3.4 s9)."""
    members = await agent.pay_members(number(1))
    await control.set_faults(Fault("bill/pay", Kind.LATE_ARRIVAL, delay_s=0.2))
    call = asyncio.ensure_future(agent.raw("bill/pay", members))
    await asyncio.sleep(0.1)
    await control.clock(301)
    assert read_object((await call)[1], 65_536)["code"] == "1005"
    assert await control.book() == []


async def test_reversal_not_found_before_the_original_arrives(agent: AgentClient, control: Control) -> None:
    """The agent hangs up, the reversal finds nothing, and the payment still comes."""
    members = await agent.pay_members(number(1))
    await control.set_faults(Fault("bill/pay", Kind.LATE_ARRIVAL, delay_s=0.4))
    with pytest.raises(TimeoutError):
        await agent.raw("bill/pay", members, timeout_s=0.1)
    assert (await agent.reverse(number(2), number(1)))["code"] == "2404"
    await asyncio.sleep(0.5)
    assert await booked(control) == 1
    assert (await agent.reverse(number(2), number(1)))["revFlag"] == "1"


async def test_reversal_acknowledgement_lost(agent: AgentClient, control: Control) -> None:
    await agent.pay(number(1))
    await control.set_faults(Fault("bill/reverse", Kind.PAID_THEN_CUT))
    members = {"revNo": number(2), "origOrderNo": number(1), "accNo": "13800000001", "amount": "36.51", "shopNo": "J1"}
    assert await agent.raw("bill/reverse", members) == (0, b"")
    assert [line.state for line in await control.book(number(1))] == ["reversed"]
    assert (await agent.reverse(number(2), number(1)))["revFlag"] == "2"


async def test_absent_although_booked(agent: AgentClient, control: Control) -> None:
    await agent.pay(number(1))
    await control.set_faults(Fault("order/query", Kind.ABSENT, times=2, account="13800000001"))
    codes = [(await agent.order(number(1)))["code"] for _ in range(3)]
    assert codes == ["2404", "2404", "0000"]


async def test_partial(agent: AgentClient, control: Control) -> None:
    await control.set_faults(Fault("topup/order", Kind.PARTIAL))
    await agent.top_up(number(1), "13912345678")
    await control.clock(2)
    assert [(line.state, line.charged_fen) for line in await control.book()] == [("partial", 2000)]


async def test_refused_connections(running: Running, agent: AgentClient, control: Control) -> None:
    idle = await asyncio.open_connection("127.0.0.1", running.port)
    idle[1].write(http("/_control/faults", b"", "GET", {"Connection": "keep-alive"}))
    await idle[0].readuntil(b"}")
    await control.set_faults(Fault("bill/pay", Kind.REFUSE_CONNECTION, delay_s=0.4))
    with pytest.raises(ConnectionRefusedError):
        await agent.order(number(1))
    assert await asyncio.wait_for(idle[0].read(), 1) in (b"", b"]}")
    idle[1].close()
    await asyncio.sleep(0.6)
    assert (await agent.order(number(1)))["code"] == "2404"
    assert [fault["left"] for fault in await control.faults()] == [0]


async def test_which_calls_a_fault_takes(agent: AgentClient, control: Control) -> None:
    await control.set_faults(
        Fault("bill/query", Kind.DECLINE, times=None, account="13800000002", code="2016"),
        Fault("*", Kind.DECLINE, times=2, code="9001"),
    )

    async def codes(*accounts: str) -> list[str]:
        members = {"ispCode": "1", "accType": "01"}
        return [(await agent.call("bill/query", **members, accNo=account))["code"] for account in accounts]

    assert await codes("13800000001", "13800000002", "13800000001") == ["9001", "2016", "9001"]
    assert await codes("13800000001", "13800000002") == ["0000", "2016"]
    assert [fault["left"] for fault in await control.faults()] == [None, 0]
    await control.set_faults()
    assert await codes("13800000002") == ["0000"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("bill/refund", Kind.GARBAGE),
        Fault("bill/pay", Kind.ABSENT),
        Fault("bill/pay", Kind.NO_NOTICE),
        Fault("bill/pay", Kind.SLOW),
        Fault("bill/pay", Kind.DECLINE),
        Fault("bill/pay", Kind.GARBAGE, times=0),
    ],
)
async def test_a_fault_that_cannot_be_shown_is_refused(control: Control, fault: Fault) -> None:
    await control.set_faults(Fault("*", Kind.GARBAGE))
    with pytest.raises(ControlError, match="422"):
        await control.set_faults(fault)
    assert [left["kind"] for left in await control.faults()] == ["garbage"]


def test_every_kind_is_supported_somewhere() -> None:
    assert frozenset(Kind) == frozenset().union(*SUPPORTED.values())


class Notices:
    """Keeps (moment, members) of the notices that came."""

    def __init__(self) -> None:
        self.got: list[tuple[float, dict[str, str]]] = []

    async def take(self, request: web.BaseRequest) -> web.Response:
        self.got.append((monotonic(), read_object(await request.read(), 8192)))
        return web.Response(body=b"success")

    @property
    def orders(self) -> list[str]:
        return [members["orderNo"][-1] for _, members in self.got]


@pytest.fixture
async def told() -> AsyncIterator[tuple[AgentClient, Control, Notices]]:
    notices = Notices()
    runner = web.ServerRunner(web.Server(notices.take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/notices/telecom"
    running = await start(Options(fixed_at=AT, notice_url=url, limits=Limits(0, 0, 0)))
    async with aiohttp.ClientSession() as session:
        yield AgentClient(running), Control(running.url, session), notices
    await running.close()
    await runner.cleanup()


async def test_notice_faults(told: tuple[AgentClient, Control, Notices]) -> None:
    agent, control, notices = told
    at_once = "13900000006"
    await control.set_faults(Fault("notice", Kind.NO_NOTICE), Fault("topup/order", Kind.DUPLICATE_NOTICE))
    await agent.top_up(number(1), at_once)
    await agent.top_up(number(2), at_once)
    await asyncio.sleep(0.2)
    assert notices.orders == ["2", "2"]
    one, two = (members for _, members in notices.got)
    assert (one["noticeNo"], one["tryNo"], two["tryNo"]) == (two["noticeNo"], "1", "2")
    assert one["nonce"] != two["nonce"]
    await control.set_faults(Fault("notice", Kind.OUT_OF_ORDER_NOTICE, account=at_once))
    await agent.top_up(number(3), at_once)
    await asyncio.sleep(0.1)
    await agent.top_up(number(4), at_once)
    await asyncio.sleep(0.2)
    assert notices.orders[2:] == ["4", "3"]


async def test_notice_before_reply(told: tuple[AgentClient, Control, Notices]) -> None:
    """Together with a lost reply: the notice alone tells."""
    agent, control, notices = told
    await control.set_faults(Fault("topup/order", Kind.NOTICE_BEFORE_REPLY), Fault("topup/order", Kind.PAID_THEN_CUT))
    members = {**TOP_UP, "orderNo": number(1), "accNo": "13900000001"}
    assert await agent.raw("topup/order", members) == (0, b"")
    assert notices.orders == ["1"]
    await control.clock(5)
    await asyncio.sleep(0.1)
    assert notices.orders == ["1"], "and only once"


@pytest.mark.parametrize("kind", [Kind.BAD_SIGNATURE, Kind.WRONG_AMOUNT, Kind.WRONG_SERIAL, Kind.EXTRA_MEMBER])
async def test_notices_that_lie(told: tuple[AgentClient, Control, Notices], kind: Kind) -> None:
    agent, control, notices = told
    await control.set_faults(Fault("notice", kind))
    await agent.top_up(number(1), "13900000006")
    await asyncio.sleep(0.2)
    ((_, members),) = notices.got
    assert check(SignType.HMAC, KEY, members) is (kind is not Kind.BAD_SIGNATURE)
    assert members["succAmount"] == ("50.01" if kind is Kind.WRONG_AMOUNT else "50.00")
    assert members["orderNo"] == number(2 if kind is Kind.WRONG_SERIAL else 1)
    assert members.get("zzNote") == ("a=b&c" if kind is Kind.EXTRA_MEMBER else None)


async def test_control_is_exact(running: Running) -> None:
    for path, body, status in (("clock", b'{"offset_s":"1"}', 422), ("decide", b"{}", 422), ("nothing", b"{}", 404)):
        assert (await exchange(running.port, http(f"/_control/{path}", body)))[0] == status
    assert SUPPORTED["topup/order"] >= NOTICE_KINDS
