"""The checks before any business, in the order of telecom interface 3.4 s3, and the signature on every reply."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from adapters.telecom.signing import REQUEST_LIMIT, BadObject, check, read_object, sign
from adapters.telecom.simulator.agents import AGENTS, Agent
from adapters.telecom.simulator.clock import PlatformClock, read_stamp
from adapters.telecom.simulator.messages import ORDER_QUERY, Answer, answer, fault_in, refuse

_NONCE = re.compile(r"[A-Za-z0-9]{16,32}")
_TIMESTAMP_S = 300
_NONCE_S = 900
_PAST_S = 2 * _NONCE_S


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent may do (s1); 0 lifts a limit. query_interval_s: between two order queries of one orderNo."""

    at_once: int = 50
    per_s: int = 100
    query_interval_s: int = 2
    maintenance: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A request as far as it could be read. refusal: the answer where a check failed. agent None: it goes unsigned."""

    operation: str
    members: Mapping[str, str]
    agent: Agent | None
    key_no: str = ""
    nonce: str = ""
    refusal: Answer | None = None


class _Seen:
    """Keys with the time they were last seen, forgotten after `_PAST_S` of real time, however the clock is moved."""

    def __init__(self, clock: PlatformClock) -> None:
        self._clock = clock
        self._times: dict[str, tuple[float, float]] = {}
        self._old: deque[tuple[float, str]] = deque()

    def age(self, key: str) -> float | None:
        """Seconds since the key was noted, None where it was not."""
        seen = self._times.get(key)
        return None if seen is None else abs(self._clock.timer() - seen[0])

    def note(self, key: str) -> None:
        """Note the key as seen now."""
        now, real = self._clock.timer(), self._clock.steady()
        while self._old and self._old[0][0] < real - _PAST_S:
            noted, old = self._old.popleft()
            if self._times.get(old, (0.0, 0.0))[1] == noted:
                del self._times[old]
        self._times[key] = (now, real)
        self._old.append((real, key))


class Gate:
    """Decides whether a request may come to the business. For one event loop.

    most_at_once: how many calls of one agent have run at once, at most, since the start.
    """

    def __init__(self, clock: PlatformClock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._nonces = _Seen(clock)
        self._asked = _Seen(clock)
        self._running: dict[str, int] = {}
        self._recent: dict[str, deque[float]] = {}
        self.most_at_once = 0

    def admit(self, operation: str, raw: bytes) -> Call:
        """Run every check up to maintenance. A call without refusal counts as running until `leave`."""
        try:
            members = read_object(raw, REQUEST_LIMIT)
        except BadObject:
            return Call(operation, {}, None, refusal=Answer("1001", "body"))
        agent = AGENTS.get(members.get("agentNo", ""))
        if agent is None:
            return Call(operation, members, None, refusal=answer(operation, "1002"))
        key_no = members.get("keyNo", "")
        nonce = members.get("nonce", "")
        call = Call(
            operation,
            members,
            agent,
            key_no if key_no in agent.keys else agent.lowest_key,
            nonce if _NONCE.fullmatch(nonce) else "",
        )
        refusal = self._identity(call, agent) or self._members(call) or self._load(call, agent)
        return call if refusal is None else replace(call, refusal=refusal)

    def leave(self, call: Call) -> None:
        """The call is over."""
        if call.refusal is None and call.agent is not None:
            self._running[call.agent.agent_no] -= 1

    def seal(self, call: Call, said: Answer, bend: Callable[[str], str] | None = None) -> bytes:
        """The reply's body, signed where the agent is known (s2). bend: what to make of the right signature."""
        members = {"code": said.code, "msg": said.msg, **said.fields}
        if call.agent is not None:
            members |= {"agentNo": call.agent.agent_no, "keyNo": call.key_no, "signType": call.agent.sign_type.value}
            if call.nonce:
                members["nonce"] = call.nonce
        members["respTime"] = self._clock.now_stamp()
        if call.agent is not None:
            right = sign(call.agent.sign_type, call.agent.keys[call.key_no], members)
            members["sign"] = right if bend is None else bend(right)
        return msgspec.json.encode(members)

    def _identity(self, call: Call, agent: Agent) -> Answer | None:
        members = call.members
        code: str | None = None
        if members.get("keyNo", "") not in agent.keys or members.get("signType") != agent.sign_type:
            code = "1004"
        elif not check(agent.sign_type, agent.keys[call.key_no], members):
            code = "1003"
        elif members.get("version") != "3.4":
            code = "1001"
        elif not self._timely(members.get("timestamp", "")):
            code = "1005"
        elif not call.nonce:
            code = "1001"
        elif not self._fresh(f"{agent.agent_no} {call.nonce}"):
            code = "1006"
        elif agent.suspended:
            code = "1007"
        return None if code is None else refuse(call.operation, code, members)

    def _members(self, call: Call) -> Answer | None:
        wrong = fault_in(call.operation, call.members, self._clock.now_s())
        if wrong is None:
            return None
        echo = refuse(call.operation, "1001", call.members)
        return Answer("1001", f"{echo.msg}: {wrong}", echo.fields)

    def _load(self, call: Call, agent: Agent) -> Answer | None:
        if not self._room(call, agent.agent_no):
            return refuse(call.operation, "9004", call.members)
        local = self._clock.local()
        if self._limits.maintenance and local.hour == 2 and local.minute < 30:
            return refuse(call.operation, "9005", call.members)
        running = self._running[agent.agent_no] = self._running.get(agent.agent_no, 0) + 1
        self.most_at_once = max(self.most_at_once, running)
        return None

    def _room(self, call: Call, agent_no: str) -> bool:
        limits = self._limits
        if limits.at_once and self._running.get(agent_no, 0) >= limits.at_once:
            return False
        if limits.per_s:
            recent = self._recent.setdefault(agent_no, deque(maxlen=limits.per_s))
            if len(recent) == limits.per_s and self._clock.steady() - recent[0] < 1:
                return False
        if call.operation == ORDER_QUERY and limits.query_interval_s:
            age = self._asked.age(call.members["orderNo"])
            if age is not None and age < limits.query_interval_s:
                return False
            self._asked.note(call.members["orderNo"])
        if limits.per_s:
            self._recent[agent_no].append(self._clock.steady())
        return True

    def _timely(self, timestamp: str) -> bool:
        written = read_stamp(timestamp)
        return written is not None and abs(written - self._clock.now_s()) <= _TIMESTAMP_S

    def _fresh(self, key: str) -> bool:
        age = self._nonces.age(key)
        if age is not None and age <= _NONCE_S:
            return False
        self._nonces.note(key)
        return True
