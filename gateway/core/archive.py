"""Old months out of the book: payments by their accounting date, each whole and in one commit, with all its rows.

What may still move stays. Keys stay for ever (M3); what the archive holds on each account is carried forward by month
(`archive_totals`), so that the book that is left still balances. Records leave only days that are closed by a seal,
and never the newest one: the chain goes on from it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from contracts.states import FINAL, OrderState
from gateway.core.book import Book
from gateway.core.env import Env, local
from gateway.core.items import Item, Reply
from gateway.core.rows import (
    ArchiveTotal,
    Attempt,
    Balance,
    Break,
    Day,
    EvidenceRow,
    Order,
    OutboxRow,
    Payment,
    Posting,
    Record,
    Row,
    Seal,
    Transaction,
)
from gateway.core.steps import Archive, Now, Read, Scan, Work

_ENDED = frozenset({OrderState.DONE, OrderState.REFUSED, OrderState.VOID})


class CheckMonths(Item, frozen=True, kw_only=True):
    """Whether everything before this date (the first of a month) is over and closed."""

    before: str


class ArchivePayments(Item, frozen=True, kw_only=True):
    """Move the payments after this serial whose account_date is before this date, at most `limit` of them."""

    before: str
    after: str = ""
    limit: int = 100


class CountPayments(Item, frozen=True, kw_only=True):
    """As ArchivePayments, and nothing is moved."""

    before: str
    after: str = ""
    limit: int = 500


class ArchiveRecords(Item, frozen=True, kw_only=True):
    """Move sealed records of days before this date that no payment in the book needs."""

    before: str
    after: str = ""
    limit: int = 500


class ArchiveMessages(Item, frozen=True, kw_only=True):
    """Move published messages of days before this date that no payment in the book needs."""

    before: str
    after: str = ""
    limit: int = 500


class MonthsView(Reply, frozen=True, kw_only=True):
    """open_days: days that are not closed, the oldest first (at most 31). none: the book has no such days."""

    over: bool
    open_days: list[str]


class Archived(Reply, frozen=True, kw_only=True):
    """moved: payments, records or messages. stayed: payments by the reason why. after: None where it is all."""

    moved: int
    rows: int = 0
    stayed: dict[str, int] = msgspec.field(default_factory=dict)
    after: str | None = None


class _Told(msgspec.Struct, frozen=True):
    """What a message says of its payment; a bill query says nothing."""

    gateway_serial: str | None = None


_told = msgspec.json.Decoder(_Told)


def check_months(items: Sequence[CheckMonths], env: Env) -> Work[list[Reply]]:
    """Replies: MonthsView.

    As long as nobody closes days, a day counts as closed when a later day has begun and no payment of it is open. Once
    any day was closed, only a closed day is one.
    """
    now: int = yield Now()
    today = local(now, env.zone).date().isoformat()
    days: list[Day] = yield Scan("days_all")
    closing = any(day.state == "CLOSED" for day in days)
    newest = max((day.account_date for day in days), default="")
    replies: list[Reply] = []
    for item in items:
        place = {"before": item.before}
        unfinished: list[Payment] = [
            *(yield Scan("payments_unfinished", place)),
            *(yield Scan("refunds_unfinished", place)),
        ]
        busy = {payment.account_date for payment in unfinished}
        open_ = [
            day.account_date
            for day in days
            if day.account_date < item.before
            and day.state != "CLOSED"
            and (closing or day.account_date in busy or day.account_date == newest)
        ]
        replies.append(MonthsView(over=item.before <= today, open_days=sorted(open_)[:31]))
    return replies


def archive_payments(items: Sequence[ArchivePayments], env: Env) -> Work[list[Reply]]:
    """Move the next payments. Replies: Archived."""
    replies: list[Reply] = []
    for item in items:
        found = yield from _next(item.before, item.after, item.limit)
        serials = sorted((payment.gateway_serial,) for payment in found)
        locked: list[Payment] = (yield Read("payments_locked", serials)) if serials else []
        folders = yield from _read(locked, item.before)
        leaving = [folder for folder in folders if folder.stays is None]
        rows = [row for folder in leaving for row in folder.rows()]
        if rows:
            totals = yield from _carry(leaving)
            yield Archive(rows)
            yield totals.write()
        replies.append(_archived(folders, found, item.limit, len(rows)))
    return replies


def count_payments(items: Sequence[CountPayments], env: Env) -> Work[list[Reply]]:
    """What archive_payments would do now. Replies: Archived."""
    replies: list[Reply] = []
    for item in items:
        found = yield from _next(item.before, item.after, item.limit)
        folders = yield from _read(found, item.before)
        rows = sum(len(folder.rows()) for folder in folders if folder.stays is None)
        replies.append(_archived(folders, found, item.limit, rows))
    return replies


@dataclass(slots=True)
class Folder:
    """One payment with everything of it that leaves with it. stays: why it does not."""

    payment: Payment
    orders: list[Order] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    evidence: list[EvidenceRow] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    stays: str | None = None

    def rows(self) -> list[Row]:
        """All of them."""
        parts: Sequence[Sequence[Row]] = (
            self.orders,
            self.attempts,
            self.transactions,
            self.postings,
            self.evidence,
            self.records,
        )
        return [self.payment, *(row for part in parts for row in part)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a payment's leaving depends on besides its own rows. sealed: the closed days but for the newest one."""

    before: str
    broken: frozenset[str]
    refunded: frozenset[str]
    owing: frozenset[str]
    sealed: frozenset[str]


def why_it_stays(folder: Folder, around: Around) -> str | None:
    """Why a payment may not leave yet; None where nothing about it is open and everything about it is old enough."""
    payment, serial = folder.payment, folder.payment.gateway_serial
    if payment.state not in FINAL or payment.in_doubt_since is not None:
        return "payment open"
    if any(order.state not in _ENDED or order.in_flight for order in folder.orders):
        return "order open"
    if any(attempt.outcome is None for attempt in folder.attempts):
        return "call open"
    if any(row.waiting for row in folder.evidence):
        return "evidence waits"
    if serial in around.broken:
        return "break open"
    if serial in around.refunded:
        return "refund open"
    if payment.institution_code in around.owing:
        return "station owes"
    if any(txn.posting_date >= around.before for txn in folder.transactions):
        return "posted later"
    if any(record.day is None or record.day not in around.sealed for record in folder.records):
        return "record not under a closed day"
    return None


def _next(before: str, after: str, limit: int) -> Work[list[Payment]]:
    # A serial begins with the date of acceptance, which is never after the account_date.
    until = before.replace("-", "")
    return (  # type: ignore[no-any-return]  # a Scan's answer
        yield Scan("payments_to_archive", {"after": after, "until": until, "before": before, "limit": limit})
    )


def _read(payments: Sequence[Payment], before: str) -> Work[list[Folder]]:
    """The payments' folders, each judged."""
    folders = {payment.gateway_serial: Folder(payment) for payment in payments}
    if not folders:
        return []
    serials = sorted((serial,) for serial in folders)
    by_order: dict[str, Folder] = {}
    for order in (yield Read("orders_of", serials)):
        folders[order.gateway_serial].orders.append(order)
        by_order[order.order_serial] = folders[order.gateway_serial]
    for attempt in (yield Read("attempts_of", sorted((serial,) for serial in by_order))):
        by_order[attempt.order_serial].attempts.append(attempt)
    by_transaction: dict[str, Folder] = {}
    for transaction in (yield Read("transactions_of", serials)):
        folders[transaction.gateway_serial].transactions.append(transaction)
        by_transaction[transaction.txn_id] = folders[transaction.gateway_serial]
    for posting in (yield Read("postings", sorted((txn_id,) for txn_id in by_transaction))):
        by_transaction[posting.txn_id].postings.append(posting)
    for row in (yield Read("evidence_of", serials)):
        folders[row.gateway_serial].evidence.append(row)
    for record in (yield Read("records_of", serials)):
        folders[str(record.gateway_serial)].records.append(record)
    around = yield from _around(payments, folders.values(), before)
    for folder in folders.values():
        folder.stays = why_it_stays(folder, around)
    return list(folders.values())


def _around(payments: Sequence[Payment], folders: Iterable[Folder], before: str) -> Work[Around]:
    serials = sorted((payment.gateway_serial,) for payment in payments)
    breaks: list[Break] = yield Read("breaks_of", serials)
    refunds: list[Payment] = yield Read("refunds_of", serials)
    stations = sorted({(payment.institution_code,) for payment in payments})
    balances: list[Balance] = yield Read("balances", stations)
    days = {record.day for folder in folders for record in folder.records if record.day is not None}
    sealed = yield from _sealed(days)
    return Around(
        before=before,
        broken=frozenset(str(row.gateway_serial) for row in breaks if row.state == "OPEN"),
        refunded=frozenset(str(row.cancels) for row in refunds if row.state not in FINAL),
        owing=frozenset(row.institution_code for row in balances if row.receivable_fen),
        sealed=sealed,
    )


def _sealed(days: Iterable[str]) -> Work[frozenset[str]]:
    """Those of the days that a seal closes; the newest day's records stay, for the chain goes on from them."""
    last: list[Record] = yield Scan("record_last_sealed")
    wanted = sorted((day,) for day in set(days))
    seals: list[Seal] = (yield Read("seals", wanted)) if wanted else []
    newest = last[0].day if last else None
    return frozenset(seal.day for seal in seals if seal.day != newest)


def _carry(folders: Sequence[Folder]) -> Work[Book]:
    """The balances that leave, added to what left before; read under lock."""
    amounts: Counter[tuple[str, str, str]] = Counter()
    legs: Counter[tuple[str, str, str]] = Counter()
    for folder in folders:
        for posting in folder.postings:
            place = (folder.payment.account_date[:7], posting.account, posting.owner)
            amounts[place] += posting.amount_fen
            legs[place] += 1
    book = Book()
    book.load((yield Read("archive_totals_locked", sorted(legs))) if legs else [])
    for place, count in legs.items():
        month, account, owner = place
        held = book.get(ArchiveTotal, *place)
        if held is None:
            amount = amounts[place]
            book.add(ArchiveTotal(month=month, account=account, owner=owner, amount_fen=amount, legs=count))
        else:
            book.put(replace(held, amount_fen=held.amount_fen + amounts[place], legs=held.legs + count))
    return book


def _archived(folders: Sequence[Folder], found: Sequence[Payment], limit: int, rows: int) -> Archived:
    stayed = Counter(folder.stays for folder in folders if folder.stays is not None)
    after = found[-1].gateway_serial if len(found) == limit else None
    return Archived(moved=len(folders) - stayed.total(), rows=rows, stayed=dict(stayed), after=after)


def archive_records(items: Sequence[ArchiveRecords], env: Env) -> Work[list[Reply]]:
    """Move records that belong to no payment of the book. Replies: Archived."""
    replies: list[Reply] = []
    for item in items:
        place = {"after": item.after, "until": item.before.replace("-", ""), "before": item.before}
        found: list[Record] = yield Scan("records_to_archive", {**place, "limit": item.limit})
        here = yield from _here(record.gateway_serial for record in found)
        sealed = yield from _sealed(str(record.day) for record in found)
        rows = [record for record in found if record.gateway_serial not in here and record.day in sealed]
        if rows:
            yield Archive(rows)
        after = found[-1].record_id if len(found) == item.limit else None
        replies.append(Archived(moved=len(rows), rows=len(rows), after=after))
    return replies


def archive_messages(items: Sequence[ArchiveMessages], env: Env) -> Work[list[Reply]]:
    """Move messages that left long ago and tell of no payment of the book. Replies: Archived."""
    replies: list[Reply] = []
    for item in items:
        place = {"after": item.after, "until": item.before.replace("-", "")}
        found: list[OutboxRow] = yield Scan("outbox_to_archive", {**place, "limit": item.limit})
        about = {row.message_id: _told.decode(row.payload).gateway_serial for row in found}
        here = yield from _here(about.values())
        rows = [row for row in found if about[row.message_id] not in here]
        if rows:
            yield Archive(rows)
        after = found[-1].message_id if len(found) == item.limit else None
        replies.append(Archived(moved=len(rows), rows=len(rows), after=after))
    return replies


def _here(serials: Iterable[str | None]) -> Work[frozenset[str]]:
    """Those of the payments that are in the book."""
    wanted = sorted({(serial,) for serial in serials if serial is not None})
    found: list[Payment] = (yield Read("payments", wanted)) if wanted else []
    return frozenset(payment.gateway_serial for payment in found)
