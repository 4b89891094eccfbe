"""What a station signed against what the book made of it: the key's hash and the payment's fields (M3, M11)."""

# ruff: noqa: S608 - names of our own structs

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from certs.core.headers import content_digest
from contracts.states import OrderKind
from contracts.strict_json import Malformed, canonical, scan
from gateway.core.fingerprints import request_hash
from gateway.core.rows import Binding, Key, Payment, Record
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.sealed import leaf_of
from gateway.ops.audit.streams import all_rows, columns, records
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

# A key, its payment and the record of its request are written in one commit, so with one moment: both streams are in
# the order of time and are read beside each other. A record's serial begins with its moment.
_KEYS = (
    f"SELECT k.created_at, {columns(Key, 'k')}, {columns(Payment, 'p')} FROM idempotency_keys k"
    " LEFT JOIN payments p ON p.gateway_serial = k.gateway_serial WHERE k.kind <> 'TOMBSTONE' ORDER BY k.created_at"
)
_REQUESTS = f"SELECT t.received_at, {columns(Record)} FROM records t WHERE t.kind = 'request' ORDER BY t.record_id"
_KEY_COLUMNS = len(shape_of(Key).names)
_SAID = ("service", "biller_account", "amount_fen", "terminal_trace")
_MAY_BE_SAID = ("query_token", "cash_received_fen")
_PAY_PATH = "/v1/payments"
Speakers = Mapping[str, Sequence[Binding]]


@dataclass(frozen=True, slots=True)
class Request:
    """A kept request as its signature base and body tell it."""

    record: Record
    method: str
    path: str
    key: str
    digest: str

    @classmethod
    def of(cls, record: Record) -> "Request":
        """Read the base; what it does not name is empty."""
        lines = record.base.decode("utf-8", "replace").splitlines()
        said = dict(line.split(": ", 1) for line in lines if ": " in line)
        names = ('"@method"', '"@path"', '"idempotency-key"', '"content-digest"')
        method, path, key, digest = (said.get(name, "") for name in names)
        return cls(record, method, path, key, digest)

    def body(self) -> Any:
        """The body as plain values; None where it is no JSON."""
        try:
            return scan(self.record.body)
        except Malformed:
            return None


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """signed-request: every decided key and the payment under it are what its kept request says."""
    found = Findings("signed-request")
    speakers: dict[str, list[Binding]] = {}
    for binding in await all_rows(snapshot, Binding):
        speakers.setdefault(binding.keyid, []).append(binding)
    requests = _Moments(records(snapshot, _REQUESTS))
    build_key, build_payment = shape_of(Key).build, shape_of(Payment).build
    async for moment, *values in records(snapshot, _KEYS):
        key = build_key(values[:_KEY_COLUMNS])
        rest = values[_KEY_COLUMNS:]
        payment = build_payment(rest) if rest[0] is not None else None
        assert isinstance(key, Key)
        assert payment is None or isinstance(payment, Payment)
        kept = [one for one in await requests.at(moment) if one.key == key.key]
        own = [one for one in kept if one.record.institution_code == key.institution_code]
        found.take(payment.gateway_serial if payment else key.key, judge(key, payment, own, speakers))
    return [found.checked()]


def judge(key: Key, payment: Payment | None, kept: Sequence[Request], speakers: Speakers) -> Iterator[str]:
    """One key, the payment it names, and the requests that were kept with it. A changed record is `leaves`'s."""
    if not kept:
        # A key outlives its payment; the request has then gone to the archive with it.
        if payment is not None or key.kind == "REFUSED":
            yield f"no request under the key {key.key} was kept when it was decided"
        return
    if any(leaf_of(one.record) != one.record.leaf for one in kept):
        return
    bodies = [(one, one.body()) for one in kept]
    meant = [(one, body) for one, body in bodies if key.request_hash == request_hash(one.method, one.path, body)]
    if not meant:
        yield f"the key {key.key} is bound to another request than the one that was kept"
        return
    request, body = meant[0]
    if request.digest != content_digest(request.record.body):
        yield "the kept body is not the one that was signed"
    if payment is not None and (payment.institution_code, payment.idempotency_key) == (key.institution_code, key.key):
        yield from judge_payment(payment, request, body, speakers)


def judge_payment(payment: Payment, request: Request, body: Any, speakers: Speakers) -> Iterator[str]:
    """A payment against the request that made it: what was signed, and by whom."""
    if payment.accepted_at != request.record.received_at:
        yield f"accepted at {payment.accepted_at}, its request came at {request.record.received_at}"
    said = body if isinstance(body, dict) else {}
    if payment.kind == OrderKind.PAY:
        where, names = _PAY_PATH, list(_SAID)
        for name in _MAY_BE_SAID:
            if getattr(payment, name) != said.get(name):
                yield f"{name} is {getattr(payment, name)!r}, signed was {said.get(name)!r}"
        if _plain(payment.params) != said.get("params", {}):
            yield f"params are {payment.params}, signed were {canonical(said.get('params', {})).decode()}"
    else:
        where, names = f"{_PAY_PATH}/{payment.cancels}/refunds", ["amount_fen"]
    if payment.kind != OrderKind.DEBIT and (request.method, request.path) != ("POST", where):
        yield f"a {payment.kind}, and what was signed is {request.method} {request.path}"
    for name in names:
        if getattr(payment, name) != said.get(name):
            yield f"{name} is {getattr(payment, name)!r}, signed was {said.get(name)!r}"
    speaker = (payment.institution_code, payment.terminal_id, payment.operator_id)
    if speaker not in _speaking(request.record, speakers):
        yield f"it names {' '.join(speaker)}, for whom the certificate {request.record.keyid} did not speak then"


def _speaking(record: Record, speakers: Speakers) -> set[tuple[str, str, str]]:
    at = record.received_at
    return {
        (one.institution_code, one.terminal_id, one.operator_id)
        for one in speakers.get(record.keyid or "", ())
        if one.bound_at <= at and (one.unbound_at is None or at <= one.unbound_at)
    }


def _plain(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


class _Moments:
    """Kept requests by their moment, in ascending order; a batch shares one, and no more is held."""

    def __init__(self, stream: AsyncIterator[Any]) -> None:
        self._stream = stream
        self._ahead: Any = None
        self._moment = -1
        self._now: list[Request] = []

    async def at(self, moment: int) -> Sequence[Request]:
        """The requests of this moment; earlier ones that were not asked for are passed by."""
        if moment > self._moment:
            self._moment, self._now = moment, []
            build = shape_of(Record).build
            while (ahead := self._ahead or await anext(self._stream, None)) is not None:
                self._ahead = ahead
                if ahead[0] > moment:
                    break
                self._ahead = None
                if ahead[0] == moment:
                    record = build(ahead[1:])
                    assert isinstance(record, Record)
                    self._now.append(Request.of(record))
        return self._now if moment == self._moment else ()
