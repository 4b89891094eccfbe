"""Dead letters: kept in the book once, and judged by what the book says of their orders at this moment."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.bus import DEAD_REASONS, BillQueryMessage, UnreadableMessage, read_request
from contracts.serials import Serials, is_serial
from contracts.states import OPEN, OrderKind, OrderState, State
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Kept, Reply
from gateway.core.keys import PAID, read_archived
from gateway.core.rows import Attempt, DeadLetter, Key, LetterHead, Order, Payment
from gateway.core.steps import Now, Read, Scan, Work
from gateway.core.verdicts import LetterFacts, OrderFacts, Verdict, judge_letter

BODY_MAX = 1_048_576
"""Bytes of a body that are kept."""
KEY_MAX, HEADERS_MAX = 1_024, 16_384
"""Characters of a key, and of the headers together, that are kept."""
BORN_QUARANTINED = frozenset({"malformed", "oversized", "unknown-version"})
"""Why a letter is put apart at once: nobody knows what it means."""
_UNSENT = "NotSent"
Head = LetterHead | DeadLetter


class FoundLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A dead message where it was found. buried_at: ms, None: now. worker: who found it dead."""

    origin: str
    topic: str
    key: str
    body: bytes
    reason: str
    headers: list[tuple[str, str]] = []
    buried_at: int | None = None
    worker: str = ""


class KeepLetters(Item, frozen=True, kw_only=True):
    """Keep dead messages; one whose origin is known stays as it is, so who keeps them needs no lease."""

    letters: list[FoundLetter]
    entropy: int


class JudgeLetters(Item, frozen=True, kw_only=True):
    """The next letters after `after` by their ids, with their verdicts. states: those of the letters.

    letter_ids: only these, all at once. since, until: ms, of their burial, [since, until).
    """

    after: str = ""
    limit: int = 500
    states: str = "OPEN"
    letter_ids: list[str] | None = None
    biller: str | None = None
    reason: str | None = None
    institution_code: str | None = None
    biller_account: str | None = None
    since: int | None = None
    until: int | None = None


class JudgedLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A letter and what a replay would do now. order, payment_state: as they stand, where the book has them."""

    letter: LetterHead
    verdict: str
    order: Order | None = None
    payment_state: str | None = None


class LettersJudged(Reply, frozen=True, kw_only=True):
    """In the order of their ids. after: where to go on, None: these were the last. now: the database's clock."""

    letters: list[JudgedLetter]
    after: str | None
    now: int


def keep_letters(items: Sequence[KeepLetters], env: Env) -> Work[list[Reply]]:
    """Replies: Kept with how many were new."""
    now: int = yield Now()
    book, replies = Book(), list[Reply]()
    found = {one.origin: (one, item) for item in items for one in item.letters}
    if found:
        book.load((yield Read("dead_letters_by_origin", sorted((origin,) for origin in found))))
    known = {letter.origin for letter in book.all(DeadLetter)}
    yield from _read_named([one for one, _ in found.values() if one.origin not in known], book)
    for item in items:
        serials = Serials(now, env.zone, item.entropy)
        fresh = [one for one in {one.origin: one for one in item.letters}.values() if one.origin not in known]
        for one in fresh:
            book.add(make_letter(one, serials.mint(), book, now))
        known |= {one.origin for one in fresh}
        replies.append(Kept(count=len(fresh)))
    yield book.write()
    return replies


def _read_named(letters: Sequence[FoundLetter], book: Book) -> Work[None]:
    """The payments and orders that the letters name, wherever they are."""
    named = [names_of(one.body) for one in letters]
    orders = sorted({(serial,) for serial in (one["order_serial"] for one in named) if serial})
    if orders:
        book.load((yield Read("orders", orders)))
    serials = sorted({(serial,) for serial in (one["gateway_serial"] for one in named) if serial})
    if serials:
        book.load((yield Read("payments", serials)))
        yield from read_archived(serials, book)


def names_of(body: bytes) -> dict[str, str | None]:
    """What a body says it is about. Of one that cannot be read at least its serials, where they have their form."""
    names: dict[str, str | None] = dict.fromkeys(("message", "gateway_serial", "order_serial", "order_kind", "biller"))
    try:
        request = read_request(body)
    except UnreadableMessage:
        plain = _plain(body)
        for name in ("gateway_serial", "order_serial"):
            told = plain.get(name)
            names[name] = told if isinstance(told, str) and is_serial(told) else None
        return names
    if isinstance(request, BillQueryMessage):
        return names | {"message": request.kind, "biller": request.biller}
    return names | {
        "message": request.kind,
        "gateway_serial": request.gateway_serial,
        "order_serial": request.order_serial,
        "order_kind": request.order_kind,
        "biller": request.biller,
    }


def _plain(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def make_letter(found: FoundLetter, letter_id: str, book: Book, now: int, **changes: Any) -> DeadLetter:
    """The letter as it is kept. What is not in the message, and may not be believed of it, comes from the book."""
    names = names_of(found.body)
    order = book.get(Order, names["order_serial"]) if names["order_serial"] else None
    if order is not None and order.gateway_serial != names["gateway_serial"]:
        order = None
    payment = book.get(Payment, names["gateway_serial"]) if names["gateway_serial"] else None
    body = found.body[:BODY_MAX]
    reason = found.reason if found.reason in DEAD_REASONS else "malformed"
    values: dict[str, Any] = names | {
        "letter_id": letter_id,
        "origin": found.origin,
        "topic": _text(found.topic, KEY_MAX),
        "key": _text(found.key, KEY_MAX),
        "headers": _headers(found),
        "body": body,
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "reason": reason,
        "buried_at": now if found.buried_at is None else found.buried_at,
        "kept_at": now,
        "worker": _text(found.worker, KEY_MAX),
        "biller": (order.biller if order else None) or (payment.biller if payment else None) or names["biller"],
        "order_kind": order.kind if order else names["order_kind"],
        "institution_code": payment.institution_code if payment else None,
        "biller_account": payment.biller_account if payment else None,
        "amount_fen": payment.amount_fen if payment else None,
        "state": "QUARANTINED" if reason in BORN_QUARANTINED or names["message"] is None else "OPEN",
    }
    return DeadLetter(**(values | changes))


def _text(text: str, limit: int) -> str:
    """What a text column may hold; PostgreSQL takes no NUL."""
    return text.replace("\x00", "\ufffd")[:limit]


def _headers(found: FoundLetter) -> str:
    """As many as there is room for; where the body was cut, what it was."""
    kept = list(found.headers)
    if len(found.body) > BODY_MAX:
        kept.insert(0, ("body_sha256", hashlib.sha256(found.body).hexdigest()))
        kept.insert(0, ("body_bytes", str(len(found.body))))
    while len(text := msgspec.json.encode(kept).decode()) > HEADERS_MAX:
        kept.pop()
    return text


def judge_letters(items: Sequence[JudgeLetters], env: Env) -> Work[list[Reply]]:
    """Replies: LettersJudged. Reads only."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        heads: list[LetterHead] = []
        after = None
        if item.letter_ids is None:
            heads = yield Scan("letter_heads_page", _filter(item))
            after = heads[-1].letter_id if len(heads) == item.limit else None
        elif item.letter_ids:
            heads = yield Read("letter_heads", sorted((one,) for one in set(item.letter_ids)))
            heads = sorted(heads, key=lambda head: head.letter_id)
        facts = yield from read_facts(heads, Book())
        judged = [
            JudgedLetter(
                letter=head,
                verdict=facts.judge(head, now),
                order=facts.order_of(head),
                payment_state=facts.payment_state(head),
            )
            for head in heads
        ]
        replies.append(LettersJudged(letters=judged, after=after, now=now))
    return replies


def _filter(item: JudgeLetters) -> dict[str, Any]:
    names = ("after", "limit", "biller", "reason", "institution_code", "biller_account", "since", "until")
    first, _, second = item.states.partition("+")
    return {name: getattr(item, name) for name in names} | {"state": first, "other": second or first}


def read_facts(heads: Sequence[Head], book: Book) -> Work["Facts"]:
    """All that a verdict looks at. Payments that are in the book already, locked, are not read again."""
    orders = sorted({(head.order_serial,) for head in heads if head.order_serial})
    if orders:
        book.load((yield Read("orders", orders)))
    named = {head.gateway_serial for head in heads if head.gateway_serial}
    missing = sorted((one,) for one in named if book.get(Payment, one) is None)
    if missing:
        book.load((yield Read("payments", missing)))
    archived = Book()
    yield from read_archived([(one,) for one in sorted(named) if book.get(Payment, one) is None], archived)
    ready = [order for order in book.all(Order) if order.state == OrderState.READY]
    payments = [p for p in (book.get(Payment, order.gateway_serial) for order in ready) if p is not None]
    if payments:
        book.load((yield Read("attempts_of", sorted((order.order_serial,) for order in ready))))
        book.load((yield Read("keys", sorted({(p.institution_code, p.idempotency_key) for p in payments}))))
        twins: list[Payment] = yield Read("payments_open", sorted({_place(p) for p in payments}))
        twins += yield Read("payments_paid_on", sorted({(*_place(p), p.account_date) for p in payments}))
        book.load(twin for twin in twins if book.get(Payment, twin.gateway_serial) is None)
    return Facts(book, {payment.gateway_serial for payment in archived.all(Payment)})


def _place(payment: Payment) -> tuple[str, str, int]:
    return payment.biller, payment.biller_account, payment.amount_fen


class Facts:
    """What was read for some letters, and their verdicts. archived: payments that have left the book, all final."""

    def __init__(self, book: Book, archived: set[str]) -> None:
        self._book, self._archived = book, archived
        self._unsent = Counter(one.order_serial for one in book.all(Attempt) if one.outcome == _UNSENT)
        self._beside: dict[tuple[str, str, int], list[Payment]] = {}
        for payment in book.all(Payment):
            if payment.kind != OrderKind.REFUND:
                self._beside.setdefault(_place(payment), []).append(payment)

    def order_of(self, head: Head) -> Order | None:
        """The order that a letter names, if it is of the payment that the letter names."""
        order = self._book.get(Order, head.order_serial) if head.order_serial else None
        return order if order is not None and order.gateway_serial == head.gateway_serial else None

    def payment_state(self, head: Head) -> str | None:
        """Of the payment that a letter names, where it is in the book."""
        payment = self._book.get(Payment, head.gateway_serial) if head.gateway_serial else None
        return None if payment is None else payment.state

    def judge(self, head: Head, now: int) -> Verdict:
        """What a replay of the letter would do now (ms)."""
        order = self.order_of(head)
        payment = None if order is None else self._book.get(Payment, order.gateway_serial)
        facts = LetterFacts(
            message=head.message,
            letter_state=head.state,
            runs=head.runs,
            now=now,
            archived=head.gateway_serial in self._archived,
            order=None if order is None or payment is None else self._order_facts(order, payment),
        )
        return judge_letter(facts)

    def _order_facts(self, order: Order, payment: Payment) -> OrderFacts:
        key = self._book.get(Key, payment.institution_code, payment.idempotency_key)
        return OrderFacts(
            kind=OrderKind(order.kind),
            state=OrderState(order.state),
            in_flight=order.in_flight,
            unproven=order.attempts - self._unsent[order.order_serial],
            hold=order.hold,
            voided=order.voided_by is not None,
            send_before=order.send_before,
            payment_state=State(payment.state),
            key_is_ours=key is not None and (key.kind, key.gateway_serial) == ("PAYMENT", payment.gateway_serial),
            twin=self._has_twin(payment),
        )

    def _has_twin(self, payment: Payment) -> bool:
        """Another of this biller, account and amount that is open, or was paid on the same account date (M7)."""
        for other in self._beside.get(_place(payment), ()):
            meant = other.gateway_serial in _beside(payment) or payment.gateway_serial in _beside(other)
            if other.gateway_serial == payment.gateway_serial or meant:
                continue
            if other.state in OPEN or (other.state in PAID and other.account_date == payment.account_date):
                return True
        return False


def _beside(payment: Payment) -> list[str]:
    return (payment.confirmed_beside or "").split(",")
