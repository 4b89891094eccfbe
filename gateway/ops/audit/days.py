"""Whole days, proven again from their records: nothing altered, removed, put in or moved, and what is wrong is named.

Unlike the audit's own checks it reads the archive too, stays within the days it is asked for, holds archive keys to
the CA's files instead of to the book, and can verify every signature once more. Memory does not grow with the days.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from certs.core import seals
from certs.core.certificates import Certificate, Role
from certs.core.chains import judge_among
from certs.core.headers import content_digest
from certs.core.signatures import holds
from gateway.core.admit import CLOCK_SKEW_S, WINDOW_MAX_S
from gateway.core.deeds import ROOT_DEED, read_deed
from gateway.core.env import rfc3339
from gateway.core.held import SEALER
from gateway.core.items import Refusal
from gateway.core.kept_replies import SIGNED_REPLY
from gateway.core.rows import Seal
from gateway.ops.audit.report import Checked, Findings, Report, make_report
from gateway.ops.audit.sealed import Sealed, judge_seal
from gateway.ops.audit.streams import SLICE, all_rows, records
from gateway.ops.evidence.standing import KEPT, Standings
from gateway.store.port import Snapshot

_DAYS = "SELECT DISTINCT day FROM records WHERE day >= :first AND day <= :last ORDER BY day"
_NEWEST = "SELECT MAX(day) FROM records WHERE day IS NOT NULL HAVING MAX(day) IS NOT NULL"
_OF_DAY = (
    "SELECT record_id, kind, received_at, keyid, base, signature, body, leaf, position, chain, gateway_serial"
    " FROM records WHERE day = :day ORDER BY position, record_id"
)
_UNSEALED = (
    "SELECT record_id, kind, received_at, keyid, base, signature, body, leaf FROM records WHERE day IS NULL"
    " ORDER BY received_at"
)
_TREE = "SELECT memo FROM leases WHERE name = :name"
_ACCEPTED = "SELECT gateway_serial FROM payments WHERE gateway_serial = :serial AND accepted_at = :at"
_ENDED = frozenset({"FROZEN", "REVOKED", "REPLACED"})
_ROLES = {"request": Role.STATION, "deed": Role.OPERATOR, SIGNED_REPLY: Role.REPLY}
_TAGS = {"request": "bianmin-v1", SIGNED_REPLY: "bianmin-reply-v1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which days, both included. signatures: also every station's, clerk's and our own replies', not only the
    archive's."""

    first: str
    last: str
    signatures: bool = False


@dataclass(frozen=True, slots=True)
class Trust:
    """The CA as the configuration's files have it."""

    issuings: Sequence[Certificate]
    root: Certificate


class _Days:
    """The running state of one verification."""

    def __init__(self, snapshot: Snapshot, trust: Trust, *, signatures: bool) -> None:
        self.snapshot, self.trust, self.signatures = snapshot, trust, signatures
        self.standings = Standings(snapshot, trust.issuings)
        self.found = {name: Findings(name) for name in ("records", "chain", "days", "signatures")}
        self.steps: dict[str, list[tuple[int, str]]] = {}
        self.by_root: dict[bytes, str] = {}
        self.refused = 0
        self.end = seals.GENESIS
        self.previous = seals.GENESIS

    def checked(self) -> list[Checked]:
        if self.refused:
            self.found["signatures"].warn(f"{self.refused} requests are by keys that were frozen or had ended: refused")
        names = [name for name in self.found if name != "signatures" or self.signatures]
        return [self.found[name].checked() for name in names]

    async def walk(self, day: str) -> Sealed:
        """Every record of a day: itself, its place, its link, and what the day comes to."""
        tree, before, place = seals.Frontier(), "", 0
        kept, links, signed = self.found["records"], self.found["chain"], self.found["signatures"]
        # Plain tuples, and nothing called that need not be: this is done for every record of six years.
        async for part in self.snapshot.rows(_OF_DAY, {"day": day}, SLICE):
            for values in part:
                record_id, kind, received_at, keyid, base, signature, body, leaf, at, link, serial = values
                record = self._whole((record_id, kind, received_at, keyid, base, signature, body, leaf))
                if at != place + 1:
                    links.add(record_id, _displaced(day, before, place, at))
                if link != seals.chain(self.end, leaf):
                    after = f"after {before}" if before else f"at the beginning of {day}"
                    links.add(
                        record_id, f"its link does not follow {after}: altered, moved, or something removed or put in"
                    )
                if self.signatures and kind == ROOT_DEED:
                    signed.take(record_id, self._by_root(record, received_at))
                elif self.signatures and kind in _ROLES:
                    signed.take(record_id, [one async for one in self._signature(record, received_at, serial)])
                tree.add(leaf)
                self.end, place, before = link, at, record_id
            kept.rows += len(part)
            links.rows += len(part)
        return Sealed(day, tree.count, tree.root(), self.end)

    def _whole(self, values: tuple[Any, ...]) -> seals.Record:
        record_id, kind, at, keyid, base, signature, body, leaf = values
        record = seals.Record(
            record_id=record_id,
            kind=kind,
            received_at=rfc3339(at),
            base=base,
            signature=signature,
            body=body,
            keyid=keyid or "",
        )
        if seals.leaf(record) != leaf:
            self.found["records"].add(record_id, "altered: its leaf is not the hash of what is kept")
        return record

    async def unsealed(self) -> None:
        """Records that have no place yet: whole in themselves, and nothing tells whether one of them is gone."""
        count = 0
        async for values in records(self.snapshot, _UNSEALED):
            self._whole(values)
            count += 1
        self.found["records"].rows += count
        if count:
            self.found["records"].warn(f"{count} are not sealed yet: were one of them gone, nothing here would tell")

    async def open(self, day: str, sealed: Sealed | None) -> None:
        """The open day against the tree that the sealer carries from record to record; day "": none is open."""
        found = self.found["days"]
        memos: list[bytes | None] = [memo async for (memo,) in records(self.snapshot, _TREE, {"name": SEALER})]
        found.rows += len(memos)
        memo = memos[0] if memos else None
        try:
            tree = seals.Frontier.read(memo) if memo else seals.Frontier()
        except ValueError as wrong:
            found.add(day or "the open day", f"the sealer's tree cannot be read: {wrong}")
            return
        count = sealed.count if sealed is not None else 0
        if tree.count > count:
            found.add(day or "the open day", f"removed: the sealer has sealed {tree.count}, {count} records are left")
        elif tree.count < count or (sealed is not None and tree.root() != sealed.root):
            found.add(day, f"it is not what the sealer has sealed: {count} records, {tree.count} in its tree")

    async def _ended(self, record: seals.Record, received_at: int, serial: str | None) -> str:
        """Why a key may not have signed this: frozen or ended before. A request that was refused for it is kept too."""
        if record.keyid not in self.steps:
            if len(self.steps) >= KEPT:
                self.steps.clear()
            self.steps[record.keyid] = [(one.at, one.to_state) for one in await self.standings.steps(record.keyid)]
        state = ""
        for at, to_state in self.steps[record.keyid]:
            if at < received_at:
                state = to_state
        if state not in _ENDED:
            return ""
        if record.kind == "request":
            accepted = [row async for row in records(self.snapshot, _ACCEPTED, {"serial": serial, "at": received_at})]
            if not accepted:
                self.refused += 1
                return ""
        return f"its key {record.keyid} was {state} then"

    async def _signature(self, record: seals.Record, received_at: int, serial: str | None) -> AsyncIterator[str]:
        """The signature a record carries, once more: whose key, that it could speak at that moment, and over what."""
        role, keyid = _ROLES[record.kind], record.keyid
        signer = await self.standings.signer(keyid)
        if signer is None:
            yield f"signed by {keyid or 'nobody'}, which the book does not know"
            return
        certificate, at = signer.parsed, datetime.fromtimestamp(received_at / 1000, UTC)
        slug = judge_among(certificate, self.trust.issuings, self.trust.root, at)
        if certificate.keyid != keyid or certificate.role is not role or slug is not None:
            yield f"its certificate {keyid} is no {role} certificate that stood then: {slug or certificate.role}"
        elif record.kind in _TAGS and (wrong := _misnamed(record, keyid)):
            yield wrong
        elif not holds(certificate, certificate.alg, record.base, record.signature):
            yield "its signature does not hold"
        elif ended := await self._ended(record, received_at, serial):
            yield ended

    def _by_root(self, record: seals.Record, received_at: int) -> Iterator[str]:
        """What the root's own key signed, by the certificate of the configuration: within its window, and once."""
        root, deed = self.trust.root, read_deed(record.base)
        if root.keyid != record.keyid or not holds(root, root.alg, record.base, record.signature):
            yield "it is not signed by the root"
        elif not root.not_before.timestamp() * 1000 <= received_at < root.not_after.timestamp() * 1000:
            yield "the root was not valid then"
        elif isinstance(deed, Refusal):
            yield f"what the root signed is no deed: {deed.detail}"
        elif not deed.at // 1000 - CLOCK_SKEW_S <= received_at // 1000 <= deed.at // 1000 + WINDOW_MAX_S:
            yield "it was received outside the window it was signed for"
        elif (before := self.by_root.setdefault(record.base, record.record_id)) != record.record_id:
            yield f"one signed deed, kept twice: {before}"

    async def close(self, day: str, sealed: Sealed | None, row: Seal | None) -> None:
        """A day's seal against its records, the day before and the archive's key."""
        found = self.found["days"]
        if row is None:
            found.take(day, ["it has no seal, and a later day has begun"])
            return
        archive, wrong = {}, []
        if row.signature is not None and row.keyid is not None and row.signed_at is not None:
            signer = await self.standings.signer(row.keyid)
            at = datetime.fromtimestamp(row.signed_at / 1000, UTC)
            slug = None
            if signer is not None:
                slug = judge_among(signer.parsed, self.trust.issuings, self.trust.root, at)
                archive = {row.keyid: signer.parsed.der}
            if slug is not None:
                wrong.append(f"the archive's certificate {row.keyid} did not stand then: {slug}")
        else:
            found.warn(f"{day} is not signed yet")
        wrong += judge_seal(row, sealed, self.previous, archive)
        if sealed is not None and (sealed.count < row.count):
            wrong.append(f"removed: {row.count - sealed.count} records at its end are missing")
        found.take(day, wrong)
        self.previous, self.end = seals.statement_hash(row.statement), row.chain_end


def _displaced(day: str, before: str, place: int, at: int) -> str:
    after = f"after {before}" if before else f"at the beginning of {day}"
    if at > place + 1:
        return f"removed: {at - place - 1} records of {day} are missing {after}, places {place + 1} to {at - 1}"
    return f"put in: place {at} of {day} is taken by {before}"


def _misnamed(record: seals.Record, keyid: str) -> str:
    params = next((line for line in record.base.split(b"\n") if line.startswith(b'"@signature-params": ')), b"")
    named, tag = f';keyid="{keyid}"'.encode(), f';tag="{_TAGS[record.kind]}"'.encode()
    if named not in params or tag not in params:
        return "what was signed names another key or purpose"
    digest = f'"content-digest": {content_digest(record.body)}'.encode()
    return "" if digest in record.base.split(b"\n") else "the kept body is not the one that was signed"


async def verify_days(snapshot: Snapshot, span: Span, trust: Trust) -> Report:
    """Prove these days again. snapshot: of the whole book, archive included. A day that is not closed is a note."""
    rows = {row.day: row for row in await all_rows(snapshot, Seal, "ORDER BY t.day")}
    state = _Days(snapshot, trust, signatures=span.signatures)
    earlier = max((day for day in rows if day < span.first), default="")
    if earlier:
        state.previous, state.end = seals.statement_hash(rows[earlier].statement), rows[earlier].chain_end
    within = {day for day in rows if span.first <= day <= span.last}
    days = {day async for (day,) in records(snapshot, _DAYS, {"first": span.first, "last": span.last})}
    newest = max((*rows, *[day async for (day,) in records(snapshot, _NEWEST)]), default="")
    for day in sorted(within | days):
        sealed = await state.walk(day) if day in days else None
        if day in rows or day < newest:
            await state.close(day, sealed, rows.get(day))
        else:
            await state.open(day, sealed)
            state.found["days"].warn(f"{day} is not closed yet: its records are chained, nothing signed")
    if span.last >= newest:
        if newest in rows or not newest:
            await state.open("", None)
        await state.unsealed()
    if not within | days:
        state.found["days"].warn(f"nothing was sealed from {span.first} to {span.last}")
    return make_report(state.checked())
