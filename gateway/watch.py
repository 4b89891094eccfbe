"""What is read from time to time for the people who watch: the book's ages, clocks, certificates, the disk."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gateway.clock import BookClock
from gateway.core.audited import AUDIT_AT, AUDIT_VIOLATIONS
from gateway.core.expiry import NOT_RENEWED
from gateway.core.views import DayView, PeekDay
from gateway.metrics import Metrics
from gateway.store.port import Snapshot, Store, StoreError

WATCH_S = 15.0
_IN_DOUBT = """
SELECT o.biller, o.rung, p.in_doubt_since FROM orders o JOIN payments p ON p.gateway_serial = o.gateway_serial
WHERE o.state = 'UNKNOWN' AND p.in_doubt_since IS NOT NULL ORDER BY o.order_serial
"""
_ALARMS = "SELECT kind, count(*) FROM alarms WHERE seen_at IS NULL GROUP BY kind ORDER BY kind"
_UNSEALED = "SELECT min(received_at) FROM records WHERE day IS NULL"
_OUTBOX = "SELECT min(created_at) FROM outbox WHERE published_at IS NULL"
_UNCLAIMED = "SELECT min(next_try_at) FROM orders WHERE state = 'READY' AND hold = 0 AND next_try_at <= :now"
_ENDS = (
    "SELECT role, min(not_after) FROM certificates WHERE role IN ('station', 'operator') AND state = 'ACTIVE'"  # noqa: S608
    f" AND {NOT_RENEWED} GROUP BY role ORDER BY role"
)
_LISTS = "SELECT issuer_keyid, max(next_update) FROM revocation_lists GROUP BY issuer_keyid"
_PARTNERS = "SELECT keyid, use, not_after FROM partner_certificates WHERE state = 'ACTIVE' AND not_after > :now"
_AUDITED = "SELECT name, value FROM settings WHERE name IN (:at, :violations)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched. certificates: ends of our own, by role. issuers: issuing CAs that publish lists, keyid to end.
    folder: where this process writes.

    raised(kind, count): called when alarms of a kind that nobody has looked at have grown in number.
    failed: called when the book could not be read.
    """

    store: Store
    clock: BookClock
    certificates: Mapping[str, datetime]
    issuers: Mapping[str, datetime] = field(default_factory=dict)
    folder: Path
    raised: Callable[[str, int], None]
    failed: Callable[[str, BaseException], None]


class Watch:
    """Looks at the book every WATCH_S seconds and sets the gauges that are not counted as things happen.

    While the book is away they tell nothing, instead of what was so before.
    """

    def __init__(self, metrics: Metrics, watched: Watched) -> None:
        self._metrics, self._watched = metrics, watched
        self._alarms: dict[str, int] = {}
        self._ending: set[str] = set()

    async def turn(self) -> float:
        """Look once; seconds until the next look."""
        await self.look()
        return WATCH_S

    async def look(self) -> None:
        """Set every gauge once."""
        watched = self._watched
        self._look_around()
        try:
            await self.compare_clocks()
            await watched.store.snapshot(self._read)
        except StoreError as error:
            self._metrics.set_book_away()
            watched.failed("watch", error)
        else:
            self._metrics.book_up.set(1)

    def _look_around(self) -> None:
        for role, not_after in self._watched.certificates.items():
            self._metrics.certificate_ends.labels(role).set(not_after.timestamp())
        disk = os.statvfs(self._watched.folder)
        self._metrics.disk_free.set(disk.f_bavail / disk.f_blocks if disk.f_blocks else 0)

    async def compare_clocks(self) -> None:
        """The database's clock decides: what this machine's own is off by is told, and made good. Raises StoreError."""
        clock = self._watched.clock.own
        before = clock.now().timestamp()
        day = await self._watched.store.look(PeekDay())
        after = clock.now().timestamp()
        if isinstance(day, DayView):
            ahead = day.now / 1000 - after, day.now / 1000 - before
            # The answer was made at some moment between the two.
            skew = 0 if ahead[0] <= 0 <= ahead[1] else min(ahead, key=abs)
            self._metrics.clock_skew.set(skew)
            self._watched.clock.correct(skew)

    async def _read(self, snapshot: Snapshot) -> None:
        now = int(self._watched.clock.now().timestamp() * 1000)
        found = [
            (str(biller), int(rung), (now - int(since)) // 1000)
            async for page in snapshot.rows(_IN_DOUBT)
            for biller, rung, since in page
        ]
        self._metrics.set_in_doubt(found)
        self._tell_alarms({str(kind): int(n) async for page in snapshot.rows(_ALARMS) for kind, n in page})
        self._metrics.seal_lag.set(await _age_s(snapshot, _UNSEALED, now))
        self._metrics.outbox_oldest.set(await _age_s(snapshot, _OUTBOX, now))
        self._metrics.unclaimed_oldest.set(await _age_s(snapshot, _UNCLAIMED, now, {"now": now}))
        ends = {str(role): int(end) async for page in snapshot.rows(_ENDS) for role, end in page}
        for role in self._ending - set(ends):
            self._metrics.certificate_ends.remove(role)
        self._ending = set(ends)
        for role, end in ends.items():
            self._metrics.certificate_ends.labels(role).set(end / 1000)
        await self._read_lists(snapshot, now)
        names = {"at": AUDIT_AT, "violations": AUDIT_VIOLATIONS}
        audited = {str(name): int(value) async for page in snapshot.rows(_AUDITED, names) for name, value in page}
        if AUDIT_AT in audited:
            self._metrics.set_audit(audited[AUDIT_AT], audited[AUDIT_VIOLATIONS])

    async def _read_lists(self, snapshot: Snapshot, now: int) -> None:
        """Until when each CA's newest list counts; an issuing CA that has ended owes none any more."""
        ends = {str(issuer): int(until) async for page in snapshot.rows(_LISTS) for issuer, until in page}
        owed = {keyid for keyid, end in self._watched.issuers.items() if keyid in ends and now < end.timestamp() * 1000}
        partners = [row async for page in snapshot.rows(_PARTNERS, {"now": now}) for row in page]
        owed |= {keyid for keyid, use, _ in partners if use == "ca"}
        self._metrics.crl_ends.clear()
        for keyid in owed:
            self._metrics.crl_ends.labels(keyid[:16]).set(ends.get(keyid, 0) / 1000)
        if partners:
            self._metrics.certificate_ends.labels("partner").set(min(end for _, _, end in partners) / 1000)

    def _tell_alarms(self, alarms: dict[str, int]) -> None:
        risen = sorted(kind for kind, count in alarms.items() if count > self._alarms.get(kind, 0))
        self._alarms = alarms
        self._metrics.set_alarms(alarms)
        for kind in risen:
            self._watched.raised(kind, alarms[kind])


async def _first(snapshot: Snapshot, sql: str, params: Mapping[str, int] | None = None) -> int | None:
    async for page in snapshot.rows(sql, params):
        for (value,) in page:
            return None if value is None else int(value)
    return None


async def _age_s(snapshot: Snapshot, sql: str, now: int, params: Mapping[str, int] | None = None) -> float:
    since = await _first(snapshot, sql, params)
    return 0 if since is None else max(0, now - since) / 1000
