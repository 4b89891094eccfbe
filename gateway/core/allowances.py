"""Allowances: what a biller takes at once and per second, divided among the processes that call it.

A process says what it holds and is told what it may hold. Each has an equal part as its aim. It first gives back what
is above its aim, as its calls end; only what nobody holds is given on. So the parts never add up to more than the
biller's manifest allows, however many processes come, go, stand still or die:
- a process lowers its own limit before the book hears of it, and raises it after;
- it renews every second; its part ends HOLD_MS after its last renewal. Some time before, it starts no call any more,
  and from then on the claim itself refuses it (gateway.core.claim), so it cannot wake up and go on;
- of a part that has ended, the orders still in flight count until they are known to be over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from contracts.manifest import Manifest
from gateway.core.book import Book
from gateway.core.controls import limited, read_controls
from gateway.core.env import Env
from gateway.core.items import Item, Reply
from gateway.core.rows import Allowance, Calling
from gateway.core.steps import Claim, Now, Read, Scan, Work

CALLS, QUESTIONS = "calls", "questions"
"""Shares of a biller: what moves money and bill queries; questions about what is in doubt."""
POOL = ""
HOLD_MS = 5_000
TURN_MS = 10_000
"""Where there are more processes than slots, each has its turn for so long."""
NOT_READ = 10**9
"""Of what is in flight, where nobody looked: as much as leaves nothing to give."""


@dataclass(frozen=True, slots=True)
class Size:
    """Calls at once, and calls in any second."""

    concurrency: int
    rate_per_s: int


def shares_of(manifest: Manifest) -> Mapping[str, Size]:
    """The shares of a biller; they add up to its manifest.

    Questions have one of their own, so that payments in doubt get their answer while every slot is taken; where the
    biller takes too little for two, the only share is CALLS, and questions are asked under it.
    """
    reserved = min(max(1, manifest.concurrency // 50), manifest.concurrency - 1)
    asked_per_s = manifest.rate_per_s // 10
    if not reserved or not asked_per_s:
        return {CALLS: Size(manifest.concurrency, manifest.rate_per_s)}
    return {
        CALLS: Size(manifest.concurrency - reserved, manifest.rate_per_s - asked_per_s),
        QUESTIONS: Size(reserved, asked_per_s),
    }


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process's part of one share."""

    biller: str
    share: str
    concurrency: int
    rate_per_s: int


class Holding(Part, frozen=True, kw_only=True):
    """What a process holds: its limit, or what is in use where that is more. It will not use more before it is told.

    closed_ms: how long its breaker lets nothing through; 0: it does.
    """

    closed_ms: int = 0


class Grant(Part, frozen=True, kw_only=True):
    """What it may use from now on. place, among: where it stands among the living processes of the share."""

    place: int
    among: int


class Renew(Item, frozen=True, kw_only=True):
    """One process, all its shares. leaving: it holds nothing any more."""

    worker: str
    holdings: list[Holding]
    leaving: bool = False


class Dealt(Reply, frozen=True, kw_only=True):
    """What each share may be used for. lapsed: the name is over; what it held is given on. Come with another name."""

    grants: list[Grant]
    lapsed: bool = False


def renew(items: Sequence[Renew], env: Env) -> Work[list[Reply]]:
    """Deal. Replies: Dealt, in order."""
    now: int = yield Now()
    billers = sorted({holding.biller for item in items for holding in item.holdings})
    book = Book()
    yield from _lock(billers, book)
    ended: list[Allowance] = yield Scan("allowances_ended", {"now": now})
    held: list[Allowance] = yield Read("allowances_of", [(biller,) for biller in billers])
    book.load(held)
    yield from read_controls(billers, book)
    for row in ended:
        known = book.get(Allowance, row.biller, row.share, row.worker)
        if known is not None and known.expires_at <= now:
            book.put(replace(known, concurrency=0, rate_per_s=0))
    dealer = _Dealer(book, now, env)
    short = sorted({biller for item in items for biller in dealer.short(item)})
    if short:
        # After the locks: a claim that was under way when its part ended has committed by now.
        dealer.calling = {biller: [] for biller in short}
        calling: list[Calling] = yield Read("calls_of", [(biller,) for biller in short])
        for row_of in calling:
            dealer.calling[row_of.biller].append(row_of)
    replies: list[Reply] = [dealer.renew(item) for item in items]
    yield book.write()
    return replies


def _lock(billers: Sequence[str], book: Book) -> Work[None]:
    """One row of each biller, which is always there once somebody has come: who comes first has no row to lock."""
    keys = [(biller, CALLS, POOL) for biller in billers]
    found: list[Allowance] = yield Read("pools_locked", keys)
    missing = set(billers) - {row.biller for row in found}
    if missing:
        yield Claim([_row(biller, CALLS, POOL) for biller in sorted(missing)])
        yield Read("pools_locked", keys)


def _row(biller: str, share: str, worker: str) -> Allowance:
    return Allowance(biller=biller, share=share, worker=worker, concurrency=0, rate_per_s=0, expires_at=0)


class PeekClosed(Item, frozen=True, kw_only=True):
    """Which billers nobody can call now."""


class ClosedView(Reply, frozen=True, kw_only=True):
    """By biller, for how many ms more no process that may call it lets a call through. Others are not closed."""

    closed_ms: dict[str, int]


def peek_closed(items: Sequence[PeekClosed], env: Env) -> Work[list[Reply]]:
    """Replies: ClosedView. What a process said last counts as long as it lives, so nothing stale closes a biller."""
    now: int = yield Now()
    found: list[Allowance] = yield Scan("allowances", {"share": CALLS, "now": now})
    until: dict[str, list[int]] = {}
    for row in found:
        if row.concurrency and row.rate_per_s:
            until.setdefault(row.biller, []).append(row.closed_until)
    closed = {biller: min(ends) - now for biller, ends in until.items() if min(ends) > now}
    return [ClosedView(closed_ms=closed) for _ in items]


class _Dealer:
    """One batch of renewals over the rows of their billers. calling: of the billers somebody wants more of."""

    def __init__(self, book: Book, now: int, env: Env) -> None:
        self._book, self._now, self._env = book, now, env
        self.calling: dict[str, list[Calling]] = {}

    def short(self, item: Renew) -> Iterator[str]:
        """Billers of which it may be given more calls at once: the look at what is in flight is not for nothing."""
        for holding in item.holdings:
            total = self._total(holding.biller, holding.share).concurrency
            place, among = self._place(holding, item.worker)
            if (
                holding.share == CALLS
                and not item.leaving
                and holding.concurrency < _aim(total, place, among, self._now)
            ):
                yield holding.biller

    def renew(self, item: Renew) -> Dealt:
        if item.leaving:
            for holding in item.holdings:
                self._leave(holding, item.worker)
            return Dealt(grants=[])
        if any(self._lapsed(holding, item.worker) for holding in item.holdings):
            return Dealt(grants=[], lapsed=True)
        return Dealt(grants=[self._grant(holding, item.worker) for holding in item.holdings])

    def _lapsed(self, holding: Holding, worker: str) -> bool:
        """Whether others may count on what it still believes to hold."""
        mine = self._book.get(Allowance, holding.biller, holding.share, worker)
        if mine is None:
            return bool(holding.concurrency or holding.rate_per_s)
        short = mine.concurrency < holding.concurrency or mine.rate_per_s < holding.rate_per_s
        return short or mine.expires_at <= self._now

    def _leave(self, holding: Holding, worker: str) -> None:
        mine = self._book.get(Allowance, holding.biller, holding.share, worker)
        if mine is not None:
            self._book.put(replace(mine, concurrency=0, rate_per_s=0, expires_at=min(mine.expires_at, self._now)))

    def _grant(self, holding: Holding, worker: str) -> Grant:
        biller, share, now = holding.biller, holding.share, self._now
        mine = self._book.get(Allowance, biller, share, worker)
        if mine is None:
            mine = _row(biller, share, worker)
            self._book.add(mine)
        total = self._total(biller, share)
        place, among = self._place(holding, worker)
        others = [row for row in self._rows(biller, share) if row.worker != worker]
        astray = self._astray(biller) if share == CALLS else 0
        concurrency = _deal(
            total.concurrency,
            holding.concurrency,
            elsewhere=sum(row.concurrency for row in others) + astray,
            aim=_aim(total.concurrency, place, among, now),
        )
        rate_per_s = _deal(
            total.rate_per_s,
            holding.rate_per_s,
            elsewhere=sum(row.rate_per_s for row in others),
            aim=_aim(total.rate_per_s, place, among, now),
        )
        row = replace(
            mine,
            concurrency=max(concurrency, holding.concurrency),
            rate_per_s=max(rate_per_s, holding.rate_per_s),
            expires_at=now + HOLD_MS,
            closed_until=now + holding.closed_ms if holding.closed_ms else 0,
        )
        self._book.put(row)
        return Grant(
            biller=biller, share=share, concurrency=concurrency, rate_per_s=rate_per_s, place=place, among=among
        )

    def _total(self, biller: str, share: str) -> Size:
        """All there is to deal: the manifest's, or less where a person has said so."""
        return shares_of(limited(self._env.manifests[biller], self._book))[share]

    def _place(self, holding: Holding, worker: str) -> tuple[int, int]:
        """Where it stands among the living, and how many they are."""
        rows = self._rows(holding.biller, holding.share)
        living = sorted({worker, *(row.worker for row in rows if row.expires_at > self._now)})
        return living.index(worker), len(living)

    def _rows(self, biller: str, share: str) -> list[Allowance]:
        """What processes hold; an end that a clock ahead of this one wrote (before a fail-over) is drawn near."""
        found = []
        for row in self._book.all(Allowance):
            if (row.biller, row.share) != (biller, share) or row.worker == POOL:
                continue
            if row.expires_at > self._now + HOLD_MS:
                row = replace(row, expires_at=self._now + HOLD_MS)  # noqa: PLW2901 - the same row, as it shall be
                self._book.put(row)
            found.append(row)
        return found

    def _astray(self, biller: str) -> int:
        """Orders in flight of processes that hold nothing here any more: what they left running."""
        if biller not in self.calling:
            return NOT_READ
        holders = {row.worker for row in self._book.all(Allowance) if row.biller == biller and self._holds(row)}
        return sum(each.calls for each in self.calling[biller] if each.worker not in holders)

    def _holds(self, row: Allowance) -> bool:
        return row.expires_at > self._now or row.concurrency > 0


def _aim(total: int, place: int, among: int, now: int) -> int:
    """An equal part; where that is less than one, one after the other has it."""
    turn = now // TURN_MS if total < among else 0
    return total // among + ((place + turn) % among < total % among)


def _deal(total: int, holds: int, *, elsewhere: int, aim: int) -> int:
    """From `holds` down to the aim at once, or up to it as far as nobody else holds it."""
    return aim if aim <= holds else holds + min(aim - holds, max(0, total - elsewhere - holds))
