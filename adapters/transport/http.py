"""One HTTP call, sent at most once, whose failure says whether a byte may have left (style s4)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import aiohttp
from yarl import URL

from adapters.transport.guard import Guard, Withheld, tracing
from contracts import traces
from contracts.clock import Clock
from contracts.sent import SENT

KEEPALIVE_S = 10
"""Idle seconds after which a connection is not used again; below every partner's own limit, see HttpCaller."""
_CHUNK = 65_536
_KEPT = ("content-", "signature", "soapaction", traces.HEADER)
"""How the names of headers begin that are evidence; any other may hold a password or a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOuts:
    """Milliseconds. connect: waiting for a pooled connection, name look-up, TCP and TLS together. total: everything.

    Raises ValueError unless 0 < connect_ms < total_ms: a total that ends first would hide whether bytes had left.
    """

    connect_ms: int
    total_ms: int

    def __post_init__(self) -> None:
        if not 0 < self.connect_ms < self.total_ms:
            raise ValueError("connect_ms must be above 0 and below total_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One request. target: path and query, already escaped, appended to the base address as it is.

    Target and body are kept as evidence (contracts.sent): no PIN, secret or whole card number may stand in them.
    body: None for GET. send_deadline: on clock.boottime(), None where no money moves. reply_limit: bytes of body.
    """

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    time_outs: TimeOuts
    reply_limit: int
    send_deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer of any status. headers: names in lower case. body: as sent, never decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NeverLeft:
    """Proven: no byte of the request left us."""

    cause: str


@dataclass(frozen=True, slots=True)
class MayHaveLeft:
    """Not proven unsent; what the partner did is not known."""

    cause: str


Result = Reply | NeverLeft | MayHaveLeft
"""From HttpCaller.call()."""


class HttpCaller:
    """Calls one partner over one pool of connections: no redirect, no retry, no cookie, no proxy from the environment.

    base_url: http or https, no query. connections: most at once. ssl_context: None means the system's defaults.
    Connections idle for KEEPALIVE_S are dropped: a POST on one the partner has just closed would be in doubt for
    nothing. open() needs a running loop; close() leaves no socket behind and may be called twice.
    """

    def __init__(
        self, *, clock: Clock, base_url: str, connections: int, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._clock = clock
        self._base_url = base_url.rstrip("/")
        self._connections = connections
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None

    def use(self, ssl_context: ssl.SSLContext | None) -> None:
        """From the next request on: connections that stand under another context are not used again."""
        self._ssl_context = ssl_context

    async def open(self) -> None:
        """Build the pool; nothing is connected yet."""
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=KEEPALIVE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "bianmin-gateway"},
            auto_decompress=False,  # a partner's 64 KiB must not become gigabytes here
            trust_env=False,
            raise_for_status=False,
            trace_configs=[tracing()],
        )

    async def close(self) -> None:
        """Close all connections; calls under way end as MayHaveLeft or NeverLeft."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, call: HttpCall) -> Result:
        """Send once and read the whole answer. Never raises for what the network or the partner did.

        Raises RuntimeError before open(). Cancellation passes through and leaves the request in doubt.
        """
        if self._session is None:
            raise RuntimeError("the caller is not open")
        guard = Guard(self._clock.boottime, call.send_deadline, call.body is not None)
        try:
            return await self._exchange(self._session, call, guard)
        except Withheld:
            return _judge(guard, proven=False, cause="withheld")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as failure:
            return _judge(guard, proven=True, cause=type(failure).__name__)
        except Exception as failure:  # boundary: whatever a hostile answer breaks is in doubt
            return _judge(guard, proven=False, cause=type(failure).__name__)
        finally:
            if guard.passed and (sent := SENT.get()) is not None:
                sent.append(as_evidence(self._base_url, call))

    async def _exchange(self, session: aiohttp.ClientSession, call: HttpCall, guard: Guard) -> Result:
        async with session.request(
            call.method,
            URL(self._base_url + call.target, encoded=True),
            data=call.body,
            headers=_traced(call.headers),
            allow_redirects=False,
            timeout=client_timeout(call.time_outs),
            ssl=self._ssl_context if self._ssl_context is not None else True,
            trace_request_ctx=guard,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > call.reply_limit:
                    response.close()
                    return MayHaveLeft("reply.too_long")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, bytes(body))


def as_evidence(base_url: str, call: HttpCall) -> bytes:
    """A request as it is kept: its first line, the headers that may be evidence, an empty line, the body as it left."""
    url = URL(base_url + call.target, encoded=True)
    lines = [f"{call.method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in _traced(call.headers).items() if name.lower().startswith(_KEPT)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (call.body or b"")


def _traced(headers: Mapping[str, str]) -> Mapping[str, str]:
    traceparent = traces.CURRENT.get()
    return headers if traceparent is None else {**headers, traces.HEADER: traceparent}


@lru_cache(maxsize=64)
def client_timeout(time_outs: TimeOuts) -> aiohttp.ClientTimeout:
    """The same for aiohttp, in seconds, every limit set: its own defaults are 300 s in all and none for reading."""
    connect_s, total_s = time_outs.connect_ms / 1000, time_outs.total_ms / 1000
    return aiohttp.ClientTimeout(
        total=total_s,
        connect=connect_s,
        sock_connect=connect_s,
        sock_read=total_s,
        ceil_threshold=total_s + 1,  # else aiohttp rounds up to the next full second, past the call deadline
    )


def _judge(guard: Guard, *, proven: bool, cause: str) -> NeverLeft | MayHaveLeft:
    """style s4: these classes prove that nothing left, unless the guard saw the request pass; the rest proves nothing.

    A withheld request is the guard's own proof, also where aiohttp wraps the exception in one of its own.
    """
    if guard.withheld and not guard.passed:
        return NeverLeft(guard.withheld)
    if proven and not guard.passed:
        return NeverLeft(cause)
    return MayHaveLeft(cause)
