"""Records against the rows that say whose they are: a record taken out of a payment's evidence is seen (M11).

`gateway_serial` of a record lies under no hash. Evidence names the records of what we sent for it and of what came, a
reply of ours names its payment in the body that was signed, and what belongs to nothing has its alarm.
"""

# ruff: noqa: S608 - names of our own

from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from gateway.core.kept_replies import SIGNED_REPLY
from gateway.core.outcome import PARTNER_ANSWER, PARTNER_REQUEST, UNKNOWN_ORDER
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import is_in, records
from gateway.store.port import Snapshot

_SENT = (PARTNER_REQUEST, PARTNER_ANSWER)
_KINDS = (*_SENT, "reply", "query", "notice")
_NAMED = (
    "SELECT e.gateway_serial, e.record_id, e.sent FROM evidence e"
    " WHERE e.source IN ('reply', 'query', 'notice') AND (e.record_id IS NOT NULL OR e.sent IS NOT NULL)"
    " ORDER BY e.gateway_serial"
)
_KEPT = (
    "SELECT r.gateway_serial, r.record_id, r.kind FROM records r"
    f" WHERE r.gateway_serial IS NOT NULL AND {is_in('r.kind', _KINDS)}"
    " ORDER BY r.gateway_serial"
)
_LOOSE = (
    f"SELECT r.record_id, r.kind FROM records r WHERE r.gateway_serial IS NULL AND {is_in('r.kind', _SENT)}"
    f" AND NOT EXISTS (SELECT 1 FROM alarms a WHERE a.kind = '{UNKNOWN_ORDER}' AND a.raised_at = r.received_at)"
)
_REPLIES = f"SELECT r.record_id, r.gateway_serial, r.body FROM records r WHERE r.kind = '{SIGNED_REPLY}'"


class _Payment(msgspec.Struct):
    gateway_serial: str | None = None


class _Body(_Payment):
    """What our reply says. type: of a problem, which may name another payment; payment: of one that was found."""

    type: str | None = None
    payment: _Payment | None = None


_body = msgspec.json.Decoder(_Body)


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """records-of-payments."""
    found = Findings("records-of-payments")
    kept = _Kept(records(snapshot, _KEPT))
    async for serial, named, sent in _by_payment(records(snapshot, _NAMED)):
        async for loose, record_id, kind in kept.before(serial):
            found.take(record_id, _lone(loose, kind))
        found.take(serial, judge(named, sent, await kept.of(serial)))
    async for loose, record_id, kind in kept.before(None):
        found.take(record_id, _lone(loose, kind))
    async for record_id, kind in records(snapshot, _LOOSE):
        found.add(record_id, f"a {kind} of no payment, and there is no alarm {UNKNOWN_ORDER}")
    async for record_id, serial, body in records(snapshot, _REPLIES):
        found.take(record_id, judge_reply(serial, body))
    return [found.checked()]


def judge(named: set[str], sent: set[str], kept: dict[str, str]) -> Iterator[str]:
    """One payment. named, sent: what its evidence names; kept: the kinds of the records that are said to be its own."""
    for record_id in sorted((named | sent) - kept.keys()):
        yield f"its evidence names the record {record_id}, which is not said to be of it"
    for record_id in sorted(sent & kept.keys()):
        if kept[record_id] not in _SENT:
            yield f"the record {record_id} is a {kept[record_id]}, its evidence says it was sent"
    for record_id in sorted(kept.keys() - named - sent):
        yield from (f"{one} {record_id}" for one in _lone("it", kept[record_id]))


def judge_reply(serial: str | None, body: bytes) -> Iterator[str]:
    """A reply of ours: it is of the payment it tells of."""
    try:
        said = _body.decode(body)
    except msgspec.DecodeError:
        return
    told = said.gateway_serial if said.payment is None else said.payment.gateway_serial
    if said.type is None and told is not None and told != serial:
        yield f"it tells of {told} and is said to be of {serial}"


def _lone(serial: str, kind: str) -> Iterator[str]:
    if kind in _SENT:
        yield f"{kind} said to be of {serial}, whose evidence does not name it"


async def _by_payment(
    rows: AsyncIterator[tuple[str, str | None, str | None]],
) -> AsyncIterator[tuple[str, set[str], set[str]]]:
    """Per payment the records that came, and those that were sent, as its evidence names them."""
    current: tuple[str, set[str], set[str]] | None = None
    async for serial, record_id, sent in rows:
        if current is None or current[0] != serial:
            if current is not None:
                yield current
            current = (serial, set(), set())
        current[1].update([record_id] if record_id else [])
        current[2].update((sent or "").split())
    if current is not None:
        yield current


class _Kept:
    """Records in the order of their payments, read beside another stream of the same order."""

    def __init__(self, rows: AsyncIterator[tuple[str, str, str]]) -> None:
        self._rows = rows
        self._ahead: tuple[str, str, str] | None = None

    async def _peek(self) -> tuple[str, str, str] | None:
        if self._ahead is None:
            self._ahead = await anext(self._rows, None)
        return self._ahead

    async def before(self, serial: str | None) -> AsyncIterator[tuple[str, str, str]]:
        """Those of payments before this one; None: all the rest."""
        while (row := await self._peek()) is not None and (serial is None or row[0] < serial):
            self._ahead = None
            yield row

    async def of(self, serial: str) -> dict[str, str]:
        """The kinds of this payment's own, by their id."""
        found: dict[str, str] = {}
        while (row := await self._peek()) is not None and row[0] == serial:
            self._ahead = None
            found[row[1]] = row[2]
        return found
