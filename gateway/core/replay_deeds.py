"""Deeds about replay plans: approved by a second person, then run by somebody who may (M12)."""

import hashlib

from msgspec.structs import replace

from contracts.strict_json import canonical
from gateway.core.items import Refusal
from gateway.core.replays import approvers_stand
from gateway.core.rows import Approval, ReplayPlan
from gateway.core.scene import Scene, conflict, lapsed, malformed, missing
from gateway.core.steps import Read, Work

RUN, START = "replay.run", "replay.start"
"""Approve that a plan runs; run it. The first takes two people, the second one of those who may."""


def approve(scene: Scene) -> Work[Refusal | str]:
    """The plan may run. subject: its SHA-256. fields: items, amount_fen, which must be the plan's: what was signed."""
    plan = yield from _plan(scene)
    if isinstance(plan, Refusal):
        return plan
    if plan.state != "KEPT":
        return conflict(f"The replay plan is {plan.state} already.")
    if plan.spread != plan.items:
        return conflict("The replay plan is not kept whole: ask for it again.")
    for name, value in (("items", plan.items), ("amount_fen", plan.fen)):
        if scene.field(name) != str(value):
            return malformed(f"the plan has {value}", name)
    # An approval bears the hash of the deed that was prepared, which is the scene's.
    approval = hashlib.sha256(canonical(scene.deed)).hexdigest()
    scene.book.put(replace(plan, state="APPROVED", approval=approval))
    return "APPROVED"


def start(scene: Scene) -> Work[Refusal | str]:
    """Run it, or go on where it was; whoever runs it until now is taken over from. subject: the plan's SHA-256.

    Returns the record of this deed: what the items are run under.
    """
    plan = yield from _plan(scene)
    if isinstance(plan, Refusal):
        return plan
    if plan.state == "DONE":
        return conflict("It is done already: every item of the plan was run once.")
    if plan.state == "KEPT":
        return conflict("The plan is not approved.")
    if (refused := (yield from approvers_stand(plan, scene.book, scene.now))) is not None:
        return refused
    approval = scene.book.need(Approval, str(plan.approval))
    if lapsed(int(approval.decided_at or 0), scene.now):
        return conflict("It was approved too long ago: make a new plan.")
    scene.book.put(replace(plan, state="RUNNING", run_record=scene.record_id))
    return str(scene.record_id)


def _plan(scene: Scene) -> Work[ReplayPlan | Refusal]:
    digest = scene.deed.subject
    scene.book.load((yield Read("replay_plans_locked", [(digest,)])))
    plan = scene.book.get(ReplayPlan, digest)
    return missing(f"replay plan {digest}: a file that differs by one byte is another plan") if plan is None else plan
