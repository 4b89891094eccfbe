"""Revocation lists in the book: ours as published, those of partners' CAs as taken in. A number only grows."""

from collections.abc import Sequence

from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Kept, Refusal, Reply
from gateway.core.rows import RegisteredCertificate, RevocationList
from gateway.core.steps import Now, Read, Scan, Work


class KeepList(Item, frozen=True, kw_only=True):
    """A list whose signature, issuer and dates have been judged (certs.core.revocation_lists.judge_crl).

    number: at least 0. serials: of ours, what it revokes, lower-case hex: it must name every revoked certificate of
    the book, so that none is forgotten that was revoked while it was made. None: of a partner's CA.
    """

    issuer_keyid: str
    number: int
    der: bytes
    this_update: int
    next_update: int
    serials: list[str] | None


class PeekList(Item, frozen=True, kw_only=True):
    """The newest list of a CA."""

    issuer_keyid: str


class ListView(Reply, frozen=True, kw_only=True):
    """The newest list, None where there is none."""

    newest: RevocationList | None


def newest_list(issuer_keyid: str) -> Work[RevocationList | None]:
    """The newest list of a CA, by its number."""
    found: list[RevocationList] = yield Scan("revocation_list_newest", {"issuer_keyid": issuer_keyid})
    return found[0] if found else None


def keep_list(items: Sequence[KeepList], env: Env) -> Work[list[Reply]]:
    """Keep lists, one after the other. Replies: Kept (count 0: this very list is there), or Refusal.

    `state-conflict`: an older number, the same number over other content, or a list of ours that leaves out a
    certificate that is revoked; `malformed`: dates that cannot be.
    """
    now: int = yield Now()
    book = Book()
    newest: dict[str, RevocationList | None] = {}
    revoked: dict[str, set[str]] = {}
    for issuer in sorted({item.issuer_keyid for item in items}):
        newest[issuer] = yield from newest_list(issuer)
        if any(item.issuer_keyid == issuer and item.serials is not None for item in items):
            rows: list[RegisteredCertificate] = yield Read("certificates_revoked", [(issuer,)])
            revoked[issuer] = {row.serial for row in rows}
    replies: list[Reply] = []
    for item in items:
        refusal = _refuse(item, newest[item.issuer_keyid], revoked.get(item.issuer_keyid, set()), now)
        if refusal is not None:
            replies.append(refusal)
            continue
        known = newest[item.issuer_keyid]
        if known is not None and known.number == item.number:
            replies.append(Kept(count=0))
            continue
        row = RevocationList(
            issuer_keyid=item.issuer_keyid,
            number=item.number,
            der=item.der,
            this_update=item.this_update,
            next_update=item.next_update,
            published_at=now,
        )
        book.add(row)
        newest[item.issuer_keyid] = row
        replies.append(Kept(count=1))
    yield book.write()
    return replies


def _refuse(item: KeepList, known: RevocationList | None, revoked: set[str], now: int) -> Refusal | None:
    if known is not None and item.number < known.number:
        detail = f"List {item.number} is older than list {known.number}, which is in force."
        return Refusal(slug="state-conflict", detail=detail)
    if known is not None and item.number == known.number and item.der != known.der:
        return Refusal(slug="state-conflict", detail=f"There is another list {known.number} of this authority.")
    missing = sorted(revoked - set(item.serials)) if item.serials is not None else []
    if missing:
        return Refusal(
            slug="state-conflict", detail=f"{len(missing)} revoked certificates are not on it, the first {missing[0]}."
        )
    if not item.this_update <= now < item.next_update:
        return Refusal(slug="malformed", detail="By the book's clock this list is not in force now.")
    return None


def peek_list(items: Sequence[PeekList], env: Env) -> Work[list[Reply]]:
    """Replies: ListView."""
    found: dict[str, RevocationList | None] = {}
    for issuer in sorted({item.issuer_keyid for item in items}):
        found[issuer] = yield from newest_list(issuer)
    return [ListView(newest=found[item.issuer_keyid]) for item in items]
