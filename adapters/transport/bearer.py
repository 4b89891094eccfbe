"""Calls that carry an OAuth 2.0 access token, got with the client's credentials (RFC 6749 s4.4, RFC 6750 s2.1)."""

import asyncio
import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote_plus

from msgspec import Meta, Struct

from adapters.transport.http import HttpCall, HttpCaller, NeverLeft, Reply, Result, TimeOuts
from adapters.transport.json_body import BadBody, JsonBody
from contracts.clock import Clock

MARGIN_S = 60
"""A token is not used in the last seconds of its life."""
WAIT_S = 5
"""Most seconds that one call waits for a token; the fetch itself goes on."""
STOP_S = 60
"""How long nothing is asked after credentials, or a token just given, were refused."""
_GAP_S = 6
_RETRY_MOST_S = 600
_REPLY_LIMIT = 16_384


class _Token(Struct):
    access_token: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~+/-]{1,4096}=*\Z")]
    token_type: Annotated[str, Meta(pattern=r"^[Bb][Ee][Aa][Rr][Ee][Rr]\Z")]
    expires_in: Annotated[int, Meta(ge=1, le=31_536_000)]


_BODY = JsonBody(_Token, _REPLY_LIMIT)


@dataclass(slots=True)
class _Held:
    """until: on clock.boottime(). worked: whether any call passed with it."""

    token: str
    until: float
    worked: bool = False


def basic(client_id: str, secret: str) -> str:
    """The Authorization header of a token request: both form-encoded first (RFC 6749 s2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def retry_after_s(reply: Reply, least: int) -> int:
    """Seconds of its `Retry-After`, at least `least` and at most ten minutes; `least` where it has none."""
    asked = reply.headers.get("retry-after", "")
    return (
        max(least, min(int(asked), _RETRY_MOST_S)) if asked.isascii() and asked.isdigit() and len(asked) < 9 else least
    )


class BearerCaller:
    """HttpCaller plus a token: fetched by one, used by all, fetched anew before it ends or where it is refused.

    credentials: header value of the token request, see basic(). target: of the token endpoint. refused: whether a reply
    proves that the token was not taken and nothing was done; then the call goes once more with a fresh token, under the
    same send_deadline. A fresh token that is refused as well stops everything for STOP_S. most_per_minute: token
    requests the partner allows to us; failed ones count.
    """

    def __init__(
        self,
        caller: HttpCaller,
        clock: Clock,
        *,
        credentials: str,
        target: str,
        time_outs: TimeOuts,
        refused: Callable[[Reply], bool],
        most_per_minute: int,
    ) -> None:
        self._caller, self._clock, self._refused = caller, clock, refused
        self._ask = HttpCall(
            method="POST",
            target=target,
            body=b"grant_type=client_credentials",
            headers={"Authorization": credentials, "Content-Type": "application/x-www-form-urlencoded"},
            time_outs=time_outs,
            reply_limit=_REPLY_LIMIT,
        )
        self._held: _Held | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._asked: deque[float] = deque(maxlen=most_per_minute)
        self._closed_until, self._cause = 0.0, "closed"

    async def open(self) -> None:
        """Open the connections; the first call fetches the first token."""
        await self._caller.open()

    async def close(self) -> None:
        """Break off a fetch and close every connection; may be called twice."""
        task, self._fetching = self._fetching, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._caller.close()

    async def call(self, call: HttpCall) -> Result:
        """As HttpCaller.call(). Without a token no byte of the call leaves: NeverLeft("token.…")."""
        reply: Result = NeverLeft("token.missing")
        for again in (True, False):
            held = await self._token()
            if held is None:
                return NeverLeft(f"token.{self._cause}")
            bearer = {**call.headers, "Authorization": f"Bearer {held.token}"}
            reply = await self._caller.call(replace(call, headers=bearer))
            if not isinstance(reply, Reply) or not self._refused(reply):
                held.worked |= isinstance(reply, Reply)
                return reply
            if self._held is held:
                self._held = None
                if not (held.worked or again):
                    self._stop(STOP_S, "refused_fresh")
        return reply

    async def _token(self) -> _Held | None:
        held, now = self._held, self._clock.boottime()
        if held is not None and now < held.until:
            return held
        if self._fetching is None:
            if now < self._closed_until:
                return None
            if len(self._asked) == self._asked.maxlen and now - self._asked[0] < 60:
                self._cause = "too_often"
                return None
            self._asked.append(now)
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(now))
        task = self._fetching
        await asyncio.wait({task}, timeout=WAIT_S)
        if not task.done():
            self._cause = "slow"
            return None
        return self._held

    async def _fetch(self, asked: float) -> None:
        try:
            reply = await self._caller.call(self._ask)
            if not isinstance(reply, Reply):
                self._stop(_GAP_S, reply.cause)
            elif reply.status != 200:
                self._stop(retry_after_s(reply, STOP_S if reply.status == 401 else _GAP_S), f"http.{reply.status}")
            else:
                token = _BODY.read(reply.body)
                # A token shorter than the margin is used for half its life.
                lasts = max(token.expires_in - MARGIN_S, token.expires_in / 2)
                self._held = _Held(token.access_token, asked + lasts)
        except BadBody as wrong:
            self._stop(_GAP_S, f"reply.{wrong}")
        finally:
            self._fetching = None

    def _stop(self, seconds: float, cause: str) -> None:
        self._closed_until, self._cause = self._clock.boottime() + seconds, cause
