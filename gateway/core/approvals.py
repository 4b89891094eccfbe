"""What takes two people: one prepares a plan, another approves or rejects exactly that plan (M12).

A plan is the preparer's signed deed; its SHA-256 is its name, and the decider's deed is about that name. So both
signatures stand under the same bytes, and nothing can be changed between them.
"""

import hashlib
from dataclasses import replace as swap

from msgspec.structs import replace

from contracts.strict_json import decode
from gateway.core.actions import ACTIONS, APPROVE, Action
from gateway.core.book import Book
from gateway.core.certificate_requests import two_people
from gateway.core.items import Refusal
from gateway.core.items_deeds import Acted, Deed
from gateway.core.rights import Rights
from gateway.core.rows import Approval, RegisteredCertificate, StaffMember
from gateway.core.scene import LAPSES_DAYS, Scene, conflict, lapsed, missing
from gateway.core.steps import Read, Work


def prepare(scene: Scene, action: Action, plan: bytes) -> Work[Acted | Refusal]:
    """Keep the plan for another person's decision. It is tried on paper first: what cannot be done is refused now."""
    if action.do is not None and action.prepared is None:
        tried = yield from action.do(swap(scene, book=Book(), prepared_by=scene.by, by=_ANOTHER))
        if isinstance(tried, Refusal):
            return tried
    if action.prepared is not None:
        set_aside = yield from action.prepared(scene)
        if isinstance(set_aside, Refusal):
            return set_aside
    digest = hashlib.sha256(plan).hexdigest()
    scene.book.add(
        Approval(
            plan_sha256=digest,
            kind=scene.deed.action,
            subject=scene.deed.subject,
            plan=plan,
            prepared_by=scene.by,
            prepared_at=scene.now,
            prepared_keyid=scene.keyid,
            prepared_record=str(scene.record_id),
            reason=scene.deed.reason,
            state="OPEN",
        )
    )
    return Acted(subject=scene.deed.subject, state="OPEN", waits=digest)


_ANOTHER = "?"
"""Stands for whoever will approve, while a plan is tried."""


def decide(scene: Scene, signature: bytes, rights: Rights) -> Work[Acted | Refusal]:
    """Approve and do, or reject, the plan whose SHA-256 is the deed's subject."""
    book, digest = scene.book, scene.deed.subject
    book.load((yield Read("approvals", [(digest,)])))
    plan = book.get(Approval, digest)
    if plan is None:
        return missing(f"plan {digest}")
    if plan.state != "OPEN":
        return conflict(f"The plan is {plan.state}.")
    approves = scene.deed.action == APPROVE
    own = plan.prepared_by == scene.by
    if plan.kind not in rights.approves and not (own and not approves):
        return Refusal(slug="authorization-required", detail=f"Your department may not approve {plan.kind}.")
    if own and approves:
        return two_people("prepared it")
    if approves and lapsed(plan.prepared_at, scene.now):
        return conflict(f"It was prepared more than {LAPSES_DAYS} days ago: reject it, and prepare it anew.")
    if approves and (refused := (yield from _preparer(plan, book))) is not None:
        return refused
    deed = decode(plan.plan, Deed)
    action = ACTIONS.get(plan.kind, Action(do=None))
    doing = action.do if approves else action.rejected
    told = Acted(subject=digest, state="REJECTED")
    if approves:
        told = Acted(subject=digest, state="APPROVED" if doing is None else "DONE")
    if doing is not None:
        preparer = plan.prepared_by if approves else None
        done = yield from doing(swap(scene, deed=deed, prepared_by=preparer))
        if isinstance(done, Refusal):
            return done
    book.put(
        replace(
            plan,
            state=told.state,
            decided_by=scene.by,
            decided_at=scene.now,
            decision=scene.deed.reason,
            signature=signature,
            keyid=scene.keyid,
            decided_record=scene.record_id,
        )
    )
    return told


def _preparer(plan: Approval, book: Book) -> Work[Refusal | None]:
    """Who prepared it is still of the staff, and his certificate has not been frozen or revoked since."""
    book.load((yield Read("staff", [(plan.prepared_by,)])))
    book.load((yield Read("certificates", [(plan.prepared_keyid,)])))
    member = book.need(StaffMember, plan.prepared_by)
    certificate = book.need(RegisteredCertificate, plan.prepared_keyid)
    if member.state != "ACTIVE" or certificate.state in ("FROZEN", "REVOKED"):
        return conflict("Who prepared it has left, or his certificate is frozen or revoked: reject it.")
    return None
