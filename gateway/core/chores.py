"""The house's own chores: outbox, seals, nonces."""

from collections.abc import Sequence
from datetime import date

from msgspec.structs import replace

from certs.core import seals
from gateway.core.admit import NONCE_BUCKET_S, NONCE_FLOOR, NONCE_KEPT_S, WINDOW_MAX_S
from gateway.core.book import Book
from gateway.core.env import Env, day_after, local
from gateway.core.items import (
    Kept,
    MarkPublished,
    Message,
    NotNow,
    Outbox,
    PurgeNonces,
    Reply,
    Seal,
    Sealed,
    SignDay,
    TakeOutbox,
)
from gateway.core.rows import Lease, OutboxRow, Record, Setting
from gateway.core.rows import Seal as SealRow
from gateway.core.steps import Now, Purge, Read, Scan, Work

SEALER = "sealer"


def take_outbox(items: Sequence[TakeOutbox], env: Env) -> Work[list[Reply]]:
    """List messages that nobody has published yet. Replies: Outbox."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        found: list[OutboxRow] = yield Scan(
            "outbox_unpublished", {"before": now - item.older_than_ms, "limit": item.limit}
        )
        messages = [Message(message_id=r.message_id, topic=r.topic, key=r.key, payload=r.payload) for r in found]
        replies.append(Outbox(messages=messages))
    return replies


def mark_published(items: Sequence[MarkPublished], env: Env) -> Work[list[Reply]]:
    """Note that messages have left; one that is marked already stays as it is. Replies: Kept."""
    now: int = yield Now()
    book = Book()
    wanted = sorted({(message_id,) for item in items for message_id in item.message_ids})
    book.load((yield Read("outbox", wanted)) if wanted else [])
    rows = book.all(OutboxRow)
    for row in rows:
        book.put(replace(row, published_at=now))
    yield book.write()
    return [Kept(count=len(item.message_ids)) for item in items]


def purge_nonces(items: Sequence[PurgeNonces], env: Env) -> Work[list[Reply]]:
    """Forget whole buckets whose every nonce is past, and raise the floor over them in the same commit."""
    now: int = yield Now()
    bucket = (now // 1000 - NONCE_KEPT_S - WINDOW_MAX_S) // NONCE_BUCKET_S
    book = Book()
    book.load((yield Read("settings_locked", [(NONCE_FLOOR,)])))
    floor = book.get(Setting, NONCE_FLOOR)
    raised = Setting(name=NONCE_FLOOR, value=max(bucket * NONCE_BUCKET_S * 1000 - 1, floor.value if floor else 0))
    if floor is None:
        book.add(raised)
    elif raised.value > floor.value:
        book.put(raised)
    yield Purge("nonces_before", {"bucket": bucket})
    yield book.write()
    return [Kept() for _ in items]


def seal(items: Sequence[Seal], env: Env) -> Work[list[Reply]]:
    """Chain unsealed leaves onto today's chain, close earlier days. Replies: Sealed, or NotNow without the lease."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        book = Book()
        book.load((yield Read("leases_locked", [(SEALER,)])))
        if not _take_lease(item, book, now):
            replies.append(NotNow(gone=False, cause="another sealer holds the lease"))
            continue
        count = yield from _chain(item, book, local(now, env.zone).date().isoformat())
        yield book.write()
        unsigned: list[SealRow] = yield Scan("seals_unsigned")
        replies.append(Sealed(count=count, unsigned=[(row.day, row.statement) for row in unsigned]))
    return replies


def _take_lease(item: Seal, book: Book, now: int) -> bool:
    lease = book.get(Lease, SEALER)
    if lease is None:
        book.add(Lease(name=SEALER, owner=item.owner, until=now + item.lease_ms, fence=1))
        return True
    if lease.owner != item.owner and lease.until > now:
        return False
    book.put(replace(lease, owner=item.owner, until=now + item.lease_ms, fence=lease.fence + 1))
    return True


def _chain(item: Seal, book: Book, today: str) -> Work[int]:
    last: list[Record] = yield Scan("record_last_sealed")
    closed: list[SealRow] = yield Scan("seal_last")
    end, position = (last[0].chain or seals.GENESIS, last[0].position or 0) if last else (seals.GENESIS, 0)
    open_since = str(last[0].day) if last and (not closed or closed[0].day < str(last[0].day)) else None
    lease = book.need(Lease, SEALER)
    tree = seals.Frontier.read(lease.memo) if lease.memo else seals.Frontier()
    if tree.count != (position if open_since else 0):
        raise LookupError(f"the sealer's tree holds {tree.count} leaves, its day {position}")
    # The clock may go back over midnight; the chain does not, and nothing joins a day that is closed.
    today = max(today, open_since or "", day_after(closed[0].day) if closed else "")
    if open_since is not None and open_since < today:
        _close(open_since, tree, end, closed[0] if closed else None, book)
    if open_since != today:
        position, tree = 0, seals.Frontier()
    unsealed: list[Record] = yield Scan("records_unsealed", {"limit": item.limit})
    book.load(unsealed)
    for record in unsealed:
        position += 1
        end = seals.chain(end, record.leaf)
        tree.add(record.leaf)
        book.put(replace(record, day=today, position=position, chain=end))
    book.put(replace(lease, memo=tree.write()))
    return len(unsealed)


def _close(day: str, tree: seals.Frontier, end: bytes, previous: SealRow | None, book: Book) -> None:
    before = seals.statement_hash(previous.statement) if previous else seals.GENESIS
    root = tree.root()
    statement = seals.day_statement(date.fromisoformat(day), tree.count, root, end, before)
    book.add(SealRow(day=day, count=tree.count, root=root, chain_end=end, statement=statement))


def sign_day(items: Sequence[SignDay], env: Env) -> Work[list[Reply]]:
    """Put signatures under statements; a signed one stays as it is. Replies: Kept."""
    now: int = yield Now()
    book = Book()
    book.load((yield Read("seals", sorted({(item.day,) for item in items}))))
    for item in items:
        row = book.need(SealRow, item.day)
        if row.signature is None:
            book.put(replace(row, keyid=item.keyid, signature=item.signature, signed_at=now))
    yield book.write()
    return [Kept(count=1) for _ in items]
