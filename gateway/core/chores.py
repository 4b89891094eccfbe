"""The house's own chores: outbox, seals, what is forgotten."""

from collections.abc import Sequence
from datetime import date

from msgspec.structs import replace

from certs.core import seals
from gateway.core.admit import NONCE_BUCKET_S, NONCE_FLOOR, NONCE_KEPT_S, WINDOW_MAX_S
from gateway.core.book import Book
from gateway.core.env import Env, day_after, local
from gateway.core.held import Held, still_held
from gateway.core.items import Item, Kept, MarkPublished, Message, NotNow, Outbox, Reply, Seal, Sealed, TakeOutbox
from gateway.core.rows import Lease, OutboxRow, Record, Setting
from gateway.core.rows import Seal as SealRow
from gateway.core.steps import Now, Purge, Read, Scan, Work

ENDED_KEPT_MS = 3_600_000
"""How long the allowance of a process that has ended stays in the book."""


class SignDay(Item, frozen=True, kw_only=True):
    """Put the archive key's signature under a day's statement."""

    day: str
    keyid: str
    signature: bytes


class ForgetOld(Item, frozen=True, kw_only=True):
    """Forget nonces whose window is past, raising the floor in the same commit, and allowances of the long dead."""


def refuse_moved(under: Held | None) -> Work[NotNow | None]:
    """Why somebody who acts under a lease may not, or None. One look: who asks twice only does work twice."""
    if under is None:
        return None
    book = Book()
    book.load((yield Read("leases", [(under.name,)])))
    return None if still_held(under, book) else NotNow(gone=False, cause=f"another {under.name} holds the lease")


def take_outbox(items: Sequence[TakeOutbox], env: Env) -> Work[list[Reply]]:
    """List messages that nobody has published yet. Replies: Outbox, or NotNow where the lease has moved on."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        if (refused := (yield from refuse_moved(item.under))) is not None:
            replies.append(refused)
            continue
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


def forget_old(items: Sequence[ForgetOld], env: Env) -> Work[list[Reply]]:
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
    yield Purge("allowances_before", {"before": now - ENDED_KEPT_MS})
    yield book.write()
    return [Kept() for _ in items]


def seal(items: Sequence[Seal], env: Env) -> Work[list[Reply]]:
    """Chain unsealed leaves onto today's chain, close earlier days. Replies: Sealed, or NotNow without the lease."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        book = Book()
        # Locked, not only read: the lease carries the day's tree, and must not move on before our commit.
        book.load((yield Read("leases_locked", [(item.under.name,)])))
        if not still_held(item.under, book):
            replies.append(NotNow(gone=False, cause="another sealer holds the lease"))
            continue
        count = yield from _chain(item, book, local(now, env.zone).date().isoformat())
        yield book.write()
        unsigned: list[SealRow] = yield Scan("seals_unsigned")
        replies.append(Sealed(count=count, unsigned=[(row.day, row.statement) for row in unsigned]))
    return replies


def _chain(item: Seal, book: Book, today: str) -> Work[int]:
    last: list[Record] = yield Scan("record_last_sealed")
    closed: list[SealRow] = yield Scan("seal_last")
    end, position = (last[0].chain or seals.GENESIS, last[0].position or 0) if last else (seals.GENESIS, 0)
    open_since = str(last[0].day) if last and (not closed or closed[0].day < str(last[0].day)) else None
    lease = book.need(Lease, item.under.name)
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
    if (memo := tree.write()) != lease.memo:
        book.put(replace(lease, memo=memo))
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
