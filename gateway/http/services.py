"""Everything the HTTP fronts need, built by the composition root and passed down."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from certs.certificates import Certificate
from certs.core.messages import SignedReply
from contracts.clock import Clock
from contracts.signer import Signer
from gateway.core.env import Env
from gateway.core.items import Refusal, Taken
from gateway.http.answers import Answer
from gateway.store.port import Store

NoticeHandler = Callable[[Mapping[str, str], bytes], Awaitable[tuple[int, str, bytes]]]
"""(headers, body) -> (status, content type, body), once the evidence is committed. Names of headers in any case."""


class Waiters(Protocol):
    """Wakes calls that are held open."""

    async def wait(self, serial: str, seconds: float, /) -> None:
        """Return when the payment (gateway_serial) or bill query (query_token) has changed, or after so many seconds.

        A wake may be missed: whoever waits looks at the book itself, and again from time to time.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds.

    in_flight: requests being decided at once, beyond it 503. held: calls held by `Prefer` at once, beyond it nobody
    is held. body: what a request may carry; read: what is read at all, so that a body between the two is refused by
    a signed reply. station_rate, station_burst: requests a second of one station, and how many at once, beyond 429.
    """

    connections: int = 4096
    in_flight: int = 512
    held: int = 4000
    body_bytes: int = 16 * 1024
    read_bytes: int = 64 * 1024
    notice_bytes: int = 64 * 1024
    line_bytes: int = 8190
    field_bytes: int = 8190
    header_lines: int = 64
    head_s: float = 10
    body_s: float = 10
    write_s: float = 10
    keepalive_s: float = 30
    notice_s: float = 30
    station_rate: int = 50
    station_burst: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers may use.

    entropy: 64 fresh random bits. authorities: each in the form of certs.core.profile.normal_authority for `scheme`.
    reply_signer: its certificate carries the reply EKU. issuings, root: what stations' certificates must chain to.
    shop_text(biller, service, resp_code): the adapter's own text; undo_text: the same for a refused cancel's code.
    closed_for_s(biller): seconds for which this process sends nothing to it (breaker open), else 0. ready(): reasons
    why not. bus(): how the bus does, in a word. accepted(reply, trace_id, seconds): told of each payment request the
    book decided. certificate_pem(keyid): leaf and issuer of a reply or archive certificate, None for any other
    (certificates.served_pem). replied(answer, signed, institution_code): told of each signed reply to a request that
    is kept; it must not wait.
    """

    store: Store
    env: Env
    clock: Clock
    entropy: Callable[[], int]
    reply_signer: Signer
    authorities: frozenset[str]
    issuings: tuple[Certificate, ...]
    root: Certificate
    shop_text: Callable[[str, str, str], str | None]
    waiters: Waiters
    closed_for_s: Callable[[str], int]
    ready: Callable[[], Awaitable[list[str]]]
    render_metrics: Callable[[], bytes]
    certificate_pem: Callable[[str], Awaitable[bytes | None]]
    accepted: Callable[[Taken | Refusal, str, float], None]
    undo_text: Callable[[str, str, str], str | None] = lambda _biller, _service, _code: None
    replied: Callable[[Answer, SignedReply, str], None] = lambda _answer, _signed, _station: None
    notices: Mapping[str, NoticeHandler] = field(default_factory=dict)
    bus: Callable[[], str] = lambda: "up"
    limits: Limits = field(default_factory=Limits)
    scheme: str = "https"
