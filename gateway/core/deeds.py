"""Doing signed deeds of the staff: who signs, whether he may, and whether a second person is asked for (M11, M12)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from certs.core.certificates import CertificateError, parse_certificate
from certs.core.life import Event
from certs.core.signatures import holds
from contracts.serials import Serials
from contracts.strict_json import Malformed, canonical, decode
from gateway.core.actions import ACTIONS, APPROVE, REJECT, Action
from gateway.core.admit import CLOCK_SKEW_S, NONCE_BUCKET_S, NONCE_FLOOR, WINDOW_MAX_S, make_record
from gateway.core.approvals import decide, prepare
from gateway.core.book import Book
from gateway.core.env import Env, rfc3339
from gateway.core.items import Kept, Refusal, Reply
from gateway.core.items_deeds import DEED_MAX, Act, Acted, Deed, ExpireCertificates
from gateway.core.own_ca import judge_own
from gateway.core.rights import Rights
from gateway.core.root_deeds import BY_ROOT
from gateway.core.rows import Nonce, RegisteredCertificate, Setting, StaffMember
from gateway.core.scene import CLOCK, ROOT, Scene, conflict, malformed, may_move, move
from gateway.core.steps import Claim, Now, Read, Scan, Work

_NEAR_S = 2 * (WINDOW_MAX_S + CLOCK_SKEW_S)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_REASON_MAX = 256
DEED, ROOT_DEED = "deed", "root-deed"
"""Kinds of records: by a person of the staff, by the root's key."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """Who signed: a staff id, or ROOT; with what he may do."""

    who: str
    rights: Rights


_ROOT = _Signer(ROOT, Rights(may=BY_ROOT))


def act(items: Sequence[Act], env: Env) -> Work[list[Reply]]:
    """Do deeds, one after the other. Replies: Acted, or a Refusal, which has changed nothing.

    Every deed whose signature holds leaves its nonce and its record, refused or not, as every signed request does.
    """
    now: int = yield Now()
    book = Book()
    replies: list[Reply] = []
    for item in items:
        reply = yield from _one(item, book, now, env)
        replies.append(reply)
    yield book.write()
    return replies


def _one(item: Act, book: Book, now: int, env: Env) -> Work[Acted | Refusal]:
    deed = read_deed(item.deed)
    if isinstance(deed, Refusal):
        return deed
    signer = yield from (_root if deed.action in BY_ROOT else _person)(item, deed, book, now, env)
    if isinstance(signer, Refusal):
        return signer
    again = yield from _take_nonce(item, deed)
    if again is not None:
        return again
    serials = Serials(now, env.zone, item.entropy)
    record_id = serials.mint()
    scene = Scene(
        book=book,
        env=env,
        now=now,
        deed=deed,
        digest=hashlib.sha256(item.deed).hexdigest(),
        record_id=record_id,
        by=signer.who,
        keyid=item.keyid,
        serials=serials,
    )
    if deed.action in (APPROVE, REJECT):
        reply = yield from decide(scene, item.signature, signer.rights)
    else:
        reply = yield from _do(scene, item.deed, signer.rights)
    record = make_record(
        kind=ROOT_DEED if signer is _ROOT else DEED,
        record_id=record_id,
        now=now,
        institution_code=None,
        gateway_serial=None,
        keyid=item.keyid,
        base=item.deed,
        signature=item.signature,
        body=outcome(reply),
    )
    book.add(record)
    return reply


def outcome(reply: Acted | Refusal) -> bytes:
    """What came of a deed, kept with it: what its subject became, which plan waits for another, or why it was refused.

    So that a change in the book that a deed had made, and that somebody took back by hand, is found by `bianmin audit`.
    """
    if isinstance(reply, Refusal):
        return canonical({"refused": reply.slug})
    return canonical({"state": reply.state} | ({} if reply.waits is None else {"waits": reply.waits}))


def _do(scene: Scene, plan: bytes, rights: Rights) -> Work[Acted | Refusal]:
    name = scene.deed.action
    action: Action | None = ACTIONS.get(name)
    if action is None:
        return malformed(f"there is no action {name}", "action")
    if (action.right or name) not in (rights.approves if action.approves else rights.may):
        return Refusal(slug="authorization-required", detail=f"Your department may not {name}.")
    if action.two or (action.two_if is not None and (yield from action.two_if(scene))):
        return (yield from prepare(scene, action, plan))
    assert action.do is not None, "what is done elsewhere takes two people"
    done = yield from action.do(scene)
    return done if isinstance(done, Refusal) else Acted(subject=scene.deed.subject, state=done)


def read_deed(data: bytes) -> Deed | Refusal:
    """The deed in these bytes, which must be its one canonical form."""
    if len(data) > DEED_MAX:
        return malformed(f"a deed has at most {DEED_MAX} bytes", "deed")
    try:
        deed = decode(data, Deed)
    except Malformed as wrong:
        return malformed(str(wrong), wrong.field or "deed")
    if canonical(deed) != data:
        return malformed("not in canonical form", "deed")
    if not _NONCE.fullmatch(deed.nonce):
        return malformed("a nonce is 16 to 64 of A-Z a-z 0-9 _ -", "nonce")
    if not (deed.reason.strip() and len(deed.reason) <= _REASON_MAX and deed.reason.isprintable()):
        return malformed(f"a reason is 1 to {_REASON_MAX} printable characters", "reason")
    return deed


def _root(item: Act, deed: Deed, book: Book, now: int, env: Env) -> Work[_Signer | Refusal]:
    """The root itself, by the certificate that the configuration names."""
    root = env.root
    if root is None or item.keyid != root.keyid:
        return Refusal(slug="certificate-unknown", detail="Only the root's key does this.")
    if not holds(root, root.alg, item.deed, item.signature):
        return Refusal(slug="signature-invalid", detail="The signature is not by the root's key.")
    if not root.not_before.timestamp() * 1000 <= now < root.not_after.timestamp() * 1000:
        return Refusal(slug="certificate-expired", detail="The root is not valid at this moment.")
    stale = yield from _stale(deed, now)
    return _ROOT if stale is None else stale


def _stale(deed: Deed, now: int) -> Work[Refusal | None]:
    """It was not signed just now, or before the book's nonces were put away."""
    settings: list[Setting] = yield Read("settings", [(NONCE_FLOOR,)])
    floor = settings[0].value if settings else 0
    second, now_s = deed.at // 1000, now // 1000
    if not second - CLOCK_SKEW_S <= now_s <= second + WINDOW_MAX_S or second * 1000 <= floor:
        return Refusal(slug="signature-expired", detail=f"The deed is of {rfc3339(deed.at)}, now it is {rfc3339(now)}.")
    return None


def _person(item: Act, deed: Deed, book: Book, now: int, env: Env) -> Work[_Signer | Refusal]:
    """The person whose certificate signed, if it may speak now."""
    book.load((yield Read("certificates", [(item.keyid,)])))
    row = book.get(RegisteredCertificate, item.keyid)
    if row is None or row.role != "operator" or row.staff_id is None:
        return Refusal(slug="certificate-unknown", detail="No certificate of the staff.")
    try:
        certificate = parse_certificate(row.der)
    except CertificateError as wrong:
        return Refusal(slug="certificate-unknown", detail=str(wrong))
    if certificate.keyid != item.keyid or not holds(certificate, certificate.alg, item.deed, item.signature):
        return Refusal(slug="signature-invalid", detail="The signature is not by this certificate's key.")
    outsider = judge_own(certificate, env, now)
    if isinstance(outsider, Refusal) and outsider.slug != "certificate-expired":
        return outsider
    stale = yield from _stale(deed, now)
    if stale is not None:
        return stale
    if row.state in ("REVOKED", "FROZEN", "REPLACED"):
        return Refusal(slug="certificate-revoked", detail=f"The certificate is {row.state.lower()}.")
    if row.state == "EXPIRED" or not row.not_before <= now < row.not_after or isinstance(outsider, Refusal):
        return Refusal(slug="certificate-expired", detail="The certificate is not valid at this moment.")
    book.load((yield Read("staff", [(row.staff_id,)])))
    member = book.need(StaffMember, row.staff_id)
    if row.state != "ACTIVE" or member.state != "ACTIVE":
        return Refusal(slug="certificate-not-bound", detail="The certificate is not of an active person.")
    return _Signer(member.staff_id, env.rights.get(member.department, Rights()))


def _take_nonce(item: Act, deed: Deed) -> Work[Refusal | None]:
    """Once per certificate. A deed is of one second, and its nonce is kept where that second's are."""
    second = deed.at // 1000
    place = (second // NONCE_BUCKET_S, item.keyid, deed.nonce)
    row = Nonce(bucket=place[0], keyid=item.keyid, nonce=deed.nonce, arrival_id=item.arrival_id, created=second)
    ours = yield Claim([row])
    beside = {(second + shift) // NONCE_BUCKET_S for shift in (-_NEAR_S, _NEAR_S)} - {place[0]}
    elsewhere = sorted(beside if place in ours else beside | {place[0]})
    held: list[Nonce] = yield Read("nonces", [(bucket, item.keyid, deed.nonce) for bucket in elsewhere])
    if not held:
        return None
    if {one.arrival_id for one in held} == {item.arrival_id}:
        # Its commit happened, and the answer to it was lost.
        return conflict("This deed reached the book before, and its answer was lost: look what became of it.")
    return Refusal(slug="nonce-replayed", detail="This deed was received before.")


def expire_certificates(items: Sequence[ExpireCertificates], env: Env) -> Work[list[Reply]]:
    """What the calendar has ended is EXPIRED, with a step by the clock. Replies: Kept with how many."""
    now: int = yield Now()
    book = Book()
    limit = max(item.limit for item in items)
    book.load((yield Scan("certificates_ended", {"now": now, "limit": limit})))
    ended = book.all(RegisteredCertificate)
    nobody = Deed(action="", subject="", reason="", at=now, nonce="")
    scene = Scene(
        book=book,
        env=env,
        now=now,
        deed=nobody,
        digest=None,
        record_id=None,
        by=CLOCK,
        serials=Serials(now, env.zone, 0),
    )
    for certificate in ended:
        to = may_move(certificate, Event.EXPIRE, now)
        if not isinstance(to, Refusal):
            yield from move(scene, certificate, Event.EXPIRE, to, reason="its time ran out")
    yield book.write()
    return [Kept(count=len(ended)) for _ in items]
