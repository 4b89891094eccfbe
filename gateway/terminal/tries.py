"""Asking until something provable comes back or the time is over: same key, same body, a fresh signature each time."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from certs.core.profile import ReplyProof
from contracts import api
from contracts.clock import Clock
from contracts.problems import URN
from gateway.terminal.verdicts import Verdict, judge_keyed, judge_plain
from gateway.terminal.wire import Ask, Proven, Unproven, Wire

_PAUSE_FIRST_S = 0.5
_PAUSE_MAX_S = 5.0
_PAUSE_MIN_S = 0.2
_TIME_AGREES_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The time is over, or asking again will not help. sent: whether any try may have left this machine.

    refusal: the newest reply that was proven and yet no answer. shop_text: as Unproven has it.
    """

    why: str
    sent: bool
    refusal: ReplyProof | None
    shop_text: str = ""


class Tries:
    """The loop around a Wire. say: told, in Chinese, what a person should know (the clock was set)."""

    def __init__(self, wire: Wire, clock: Clock, *, reply_timeout_s: float, say: Callable[[str], None]) -> None:
        self._wire, self._clock, self._say = wire, clock, say
        self._reply_timeout_s = reply_timeout_s
        self._clock_set = False

    async def ask(self, ask: Ask, *, deadline_s: float, resumed: bool = False) -> ReplyProof | Open:
        """Ask until it is decided, for deadline_s seconds at most in all.

        resumed: an earlier run may have sent this very key. Questions without a key that end with a proven refusal
        which is no answer (a full gateway) come back as Open with that refusal.
        """
        ends = self._clock.monotonic() + deadline_s
        touched, sent, pause_s = resumed, resumed, _PAUSE_FIRST_S
        why, refusal = "", None
        while (left_s := ends - self._clock.monotonic()) > 0:
            reply = await self._once(ask, left_s)
            sent = sent or isinstance(reply, Proven) or reply.sent
            if isinstance(reply, Proven):
                refusal, slug = reply.proof, problem_slug(reply.proof)
                verdict = self._judge(ask, reply.proof.status, slug, only=not touched)
                if verdict is Verdict.DECIDED:
                    return reply.proof
                why = f"the gateway answered {reply.proof.status} {slug}".rstrip()
                if verdict is Verdict.STOP or (verdict is Verdict.CLOCK and self._clock_set):
                    break
            elif reply.shop_text:
                # Nothing can be signed until a person has done something: what may have arrived is asked about later.
                return Open(why=reply.why, sent=sent, refusal=refusal, shop_text=reply.shop_text)
            else:
                verdict, why = Verdict.AGAIN, reply.why
            touched = touched or sent
            if verdict is Verdict.CLOCK:
                await self._set_clock(refusal)
                continue
            wait_s = self._pause(reply.retry_after_s, pause_s)
            if wait_s >= ends - self._clock.monotonic():
                break
            await self._clock.sleep(wait_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
        return Open(why=why, sent=sent, refusal=refusal)

    async def _once(self, ask: Ask, left_s: float) -> Proven | Unproven:
        wait_s = min(ask.wait_s, max(0, int(left_s) - 1))
        try:
            async with asyncio.timeout(left_s):
                return await self._wire.exchange(replace(ask, wait_s=wait_s), min(self._reply_timeout_s, left_s))
        except TimeoutError:
            return Unproven(why="no reply in time", sent=True)

    def _judge(self, ask: Ask, status: int, slug: str, *, only: bool) -> Verdict:
        return judge_plain(status, slug) if ask.key is None else judge_keyed(status, slug, only=only)

    def _pause(self, retry_after_s: int | None, pause_s: float) -> float:
        # A little chance keeps the terminals of a whole county from coming back in step.
        chosen = pause_s if retry_after_s is None else max(retry_after_s, _PAUSE_MIN_S)
        return chosen * (1 + secrets.randbelow(200) / 1000)

    async def _set_clock(self, refusal: ReplyProof | None) -> None:
        """Once per terminal. `GET /v1/time` is unsigned: it is believed only as far as the proven refusal's own
        `created` bears it out; else that is the time."""
        assert refusal is not None
        self._clock_set = True
        signed = datetime.fromtimestamp(refusal.created, UTC)
        told = await self.gateway_time()
        agrees = told is not None and abs((told - signed).total_seconds()) <= _TIME_AGREES_S
        believed = told if told is not None and agrees else signed
        self._wire.offset = believed - self._clock.now()
        seconds = round(self._wire.offset / timedelta(seconds=1))
        self._say(f"本机时间与平台相差{seconds:+d}秒，已按平台时间签名，请校准本机时间")

    async def gateway_time(self) -> datetime | None:
        """What `GET /v1/time` tells, proving nothing; None without a readable answer."""
        answer = read_time(await self._wire.fetch("/v1/time", self._reply_timeout_s))
        return None if answer is None else _instant(answer.now)


def read_time(raw: bytes | Unproven) -> api.TimeAnswer | None:
    """A time answer, where the bytes are one and its time is a time."""
    if isinstance(raw, Unproven):
        return None
    try:
        answer = msgspec.json.decode(raw, type=api.TimeAnswer)
    except msgspec.MsgspecError:
        return None
    return answer if _instant(answer.now) is not None else None


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None


def read_problem(proof: ReplyProof) -> api.Problem | None:
    """The problem a proven reply carries, if it is one."""
    if proof.status < 400:
        return None
    try:
        return msgspec.json.decode(proof.body, type=api.Problem)
    except msgspec.MsgspecError:
        return None


def problem_slug(proof: ReplyProof) -> str:
    """The slug of the problem a proven reply carries; "" for any other reply."""
    problem = read_problem(proof)
    return "" if problem is None else problem.type.removeprefix(URN)
