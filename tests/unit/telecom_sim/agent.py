"""An agent that talks to the simulator over its own sockets, byte by byte where a test needs that."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from adapters.telecom.signing import SignType, check, read_object, sign
from adapters.telecom.simulator.agents import AGENTS
from adapters.telecom.simulator.clock import read_stamp, stamp
from adapters.telecom.simulator.server import Running

AT = read_stamp("20261124101500")
"""The moment at which the recorded vectors were made."""
assert AT is not None
_nonces = count(1)
PAY = {"ispCode": "1", "accType": "01", "amount": "36.51", "payType": "0", "channel": "11", "shopNo": "JN00170023"}
TOP_UP = {"ispCode": "1", "faceValue": "50.00", "channel": "11", "shopNo": "JN00170023"}


def number(last: int, day: str = "20261124") -> str:
    """An order number of that day."""
    return f"{day}{last:012d}"


def signed(members: Mapping[str, str], agent_no: str = "8801000123", **common: str) -> dict[str, str]:
    """The members with the common ones, signed as this agent would; `common` overrides (sign too)."""
    agent = AGENTS[agent_no]
    full = {
        "agentNo": agent_no,
        "keyNo": "01",
        "signType": agent.sign_type.value,
        "version": "3.4",
        "timestamp": "20261124101500",
        "nonce": f"TEST{next(_nonces):016d}",
    }
    full |= {**members, **common}
    full.setdefault("sign", sign(agent.sign_type, agent.keys.get(full["keyNo"], "x"), full))
    return full


def http(path: str, body: bytes, method: str = "POST", headers: Mapping[str, str] | None = None) -> bytes:
    """A request's bytes; a header given as "" is left out."""
    given = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
    } | dict(headers or {})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange(port: int, request: bytes, timeout_s: float = 5) -> tuple[int, bytes]:
    """Send bytes, return status and body; status 0 where the connection ended without a reply.

    Raises ConnectionResetError for a RST, TimeoutError where nothing comes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        raw = await asyncio.wait_for(reader.read(), timeout_s)
    finally:
        writer.close()
    if not raw:
        return 0, b""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@dataclass
class AgentClient:
    """Calls one simulator as agent 8801000123. `now`: what its clock shows, epoch seconds."""

    running: Running
    now: int = AT or 0

    async def raw(self, operation: str, members: Mapping[str, str], timeout_s: float = 5) -> tuple[int, bytes]:
        """One call, whatever comes back."""
        full = signed(members, timestamp=stamp(self.now))
        body = json.dumps(full, ensure_ascii=False).encode()
        return await exchange(self.running.port, http(f"/v3/{operation}", body), timeout_s)

    async def call(self, operation: str, **members: str) -> dict[str, str]:
        """One call whose reply must be in order and rightly signed."""
        status, body = await self.raw(operation, members)
        assert status == 200
        reply = read_object(body, 65_536)
        assert check(SignType.HMAC, AGENTS["8801000123"].keys[reply["keyNo"]], reply), "reply not rightly signed"
        return reply

    async def query_no(self, acc_no: str = "13800000001", isp_code: str = "1") -> str:
        """A fresh queryNo for a mobile number."""
        reply = await self.call("bill/query", ispCode=isp_code, accType="01", accNo=acc_no)
        return reply["queryNo"]

    async def pay_members(self, order_no: str, acc_no: str = "13800000001", **other: str) -> dict[str, str]:
        """All members of a payment, with a fresh queryNo."""
        query_no = await self.query_no(acc_no, other.get("ispCode", "1"))
        return {**PAY, "orderNo": order_no, "accNo": acc_no, "queryNo": query_no, **other}

    async def pay(self, order_no: str, acc_no: str = "13800000001", **other: str) -> dict[str, str]:
        """Query and pay."""
        return await self.call("bill/pay", **await self.pay_members(order_no, acc_no, **other))

    async def top_up(self, order_no: str, acc_no: str = "13900000001", **other: str) -> dict[str, str]:
        """Order a top-up."""
        return await self.call("topup/order", **{**TOP_UP, "orderNo": order_no, "accNo": acc_no, **other})

    async def reverse(self, rev_no: str, order_no: str, acc_no: str = "13800000001", **other: str) -> dict[str, str]:
        """Reverse a payment."""
        members = {"revNo": rev_no, "origOrderNo": order_no, "accNo": acc_no, "amount": "36.51", "shopNo": "JN00170023"}
        return await self.call("bill/reverse", **(members | other))

    async def order(self, order_no: str, order_type: str = "1") -> dict[str, str]:
        """Ask about an order."""
        return await self.call("order/query", orderNo=order_no, orderType=order_type)
