"""Certificates, USB keys, approvals: each state ends its steps, each step is a signed deed, of two people (M12)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from certs.core import stock
from certs.core.life import BOUND, PROVISIONED, Event, Life, after
from gateway.core.actions import APPROVE, REJECT
from gateway.core.rows import (
    Alarm,
    Approval,
    Binding,
    CertificateRequest,
    CertificateStep,
    PartnerCertificate,
    RegisteredCertificate,
    StaffMember,
    UsbKey,
    UsbKeyStep,
)
from gateway.core.scene import CLOCK, ROOT
from gateway.ops.audit import brought_in, rebuilt
from gateway.ops.audit.about import About
from gateway.ops.audit.deeds import Done, read_deeds
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows
from gateway.store.port import Snapshot

_ACTIONS: Mapping[str, frozenset[str]] = {
    Event.FREEZE: frozenset({"certs.freeze", "key.lost", "key.return", "staff.leave"}),
    Event.REVOKE: frozenset({"certs.revoke", "station.close", "station.transfer"}),
    stock.Movement.HAND_OVER: frozenset({"key.hand-out"}),
    stock.Movement.KEEP: frozenset({"key.hand-out"}),
}
"""Deeds, or kinds of plans, that lead to an event; of any other the one that bears its name."""
_TWO = frozenset({Event.BIND, Event.UNFREEZE, stock.Movement.RECEIVE, stock.Movement.HAND_OVER})
"""Events that only an approved plan brings about."""
_OTHER_SUBJECT = frozenset({Event.APPLY, Event.ISSUE})
"""Events whose deed is about the key, or about the request, that the step's subject comes from."""
_Step = CertificateStep | UsbKeyStep


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """certificate-steps, two-people, deeds-signed, rebuilt."""
    certificates = {row.keyid: row for row in await all_rows(snapshot, RegisteredCertificate)}
    requests = {row.request_id: row for row in await all_rows(snapshot, CertificateRequest)}
    keys = {row.key_serial: row for row in await all_rows(snapshot, UsbKey)}
    plans = {row.plan_sha256: row for row in await all_rows(snapshot, Approval)}
    bindings: dict[str, list[Binding]] = {}
    for one in await all_rows(snapshot, Binding, "ORDER BY t.keyid, t.bound_at"):
        bindings.setdefault(one.keyid, []).append(one)
    lived = _by_subject(await all_rows(snapshot, CertificateStep, "ORDER BY t.subject, t.number"))
    moved = _by_subject(await all_rows(snapshot, UsbKeyStep, "ORDER BY t.key_serial, t.number"))
    root = about.env.root if about.env is not None else None
    deeds = await read_deeds(snapshot, certificates, root)
    alarms = await all_rows(snapshot, Alarm, "WHERE t.kind = 'staff.restored'")

    steps, people, signed = Findings("certificate-steps"), Findings("two-people"), Findings("deeds-signed")
    states = {keyid: row.state for keyid, row in certificates.items()}
    states |= {request_id: request.state for request_id, request in requests.items()}
    for subject in sorted({*states, *lived}):
        steps.take(subject, judge_steps(lived.get(subject, []), states.get(subject)))
    for serial in sorted({*keys, *moved}):
        steps.take(serial, judge_steps(moved.get(serial, []), keys[serial].state if serial in keys else None))
    for row in certificates.values():
        if row.role == "station":
            people.take(row.keyid, judge_binding(row, bindings.get(row.keyid, []), lived))
    for request in requests.values():
        people.take(request.request_id, _judge_request(request, lived.get(request.request_id, [])))
    if made := _provisioned(lived.values()):
        people.warn(f"provisioned whole, with nobody's signature (JOIN-16): {made}")
    for plan in plans.values():
        signed.take(plan.plan_sha256, judge_plan(plan, deeds))
    for step in (step for found in (*lived.values(), *moved.values()) for step in found):
        signed.take(f"{_subject(step)} step {step.number}", judge_deed(step, deeds, plans, certificates))
    for record_id, done in deeds.items():
        lives: Mapping[str, Sequence[CertificateStep]] = {
            keyid: lived.get(keyid, [])  # type: ignore[misc]  # each of its own kind
            for keyid in sorted(brought_in.lost_by(done, certificates))
        }
        for wrong in brought_in.judge_lost(done, record_id, lives):
            signed.add(record_id, wrong)
        if (told := brought_in.told(done)) is not None:
            signed.warn(told)
        for wrong in brought_in.judge_alarm(done, alarms):
            signed.add(record_id, wrong)
    if root is None and any(done.who == ROOT for done in deeds.values()):
        signed.warn("the root's certificate is not here: what it signed is taken as it stands")
    books = rebuilt.Books(
        certificates=certificates,
        requests=requests,
        bindings=bindings,
        staff={row.staff_id: row for row in await all_rows(snapshot, StaffMember)},
        partners=await all_rows(snapshot, PartnerCertificate),
        keys=keys,
        plans=plans,
        lived=lived,  # type: ignore[arg-type]  # each of its own kind
        moved=moved,  # type: ignore[arg-type]
        deeds=deeds,
    )
    return [*(found.checked() for found in (steps, people, signed)), _rebuilt(books)]


def _rebuilt(books: rebuilt.Books) -> Checked:
    found = Findings("rebuilt")
    for row in books.certificates.values():
        found.take(row.keyid, rebuilt.judge_certificate(row, books))
    for member in books.staff.values():
        found.take(member.staff_id, rebuilt.judge_staff(member, books))
    for one in (one for bound in books.bindings.values() for one in bound):
        found.take(one.keyid, rebuilt.judge_bound(one, books))
    for request in books.requests.values():
        found.take(request.request_id, rebuilt.judge_request(request, books))
    for key in books.keys.values():
        found.take(key.key_serial, rebuilt.judge_key(key, books))
    for partner in books.partners:
        found.take(f"{partner.biller} {partner.keyid}", rebuilt.judge_partner(partner, books))
    return found.checked()


def _subject(step: _Step) -> str:
    return step.subject if isinstance(step, CertificateStep) else step.key_serial


def _by_subject(steps: Sequence[_Step]) -> dict[str, list[_Step]]:
    found: dict[str, list[_Step]] = {}
    for step in steps:
        found.setdefault(_subject(step), []).append(step)
    return found


def judge_steps(steps: Sequence[_Step], state: str | None) -> Iterator[str]:
    """Numbered without a gap, each where the one before ended and as its table has it; the last is what it is now."""
    if state is None:
        yield "it has steps and is not in the register"
    came = ""
    for number, step in enumerate(steps, 1):
        if step.number != number:
            yield f"step {number} is missing"
            return
        # A certificate's first step is the issue that ends its request.
        first = number == 1 and step.event == Event.ISSUE
        if step.from_state != came and not first:
            yield f"step {number} begins at {step.from_state or 'nothing'}, the one before ended at {came or 'nothing'}"
        if step.to_state != _leads_to(step):
            yield f"step {number}: {step.event} does not lead from {step.from_state or 'nothing'} to {step.to_state}"
        came = step.to_state
    if state is not None and came != state:
        yield f"it is {state}, its steps end at {came or 'nothing'}"


def _leads_to(step: _Step) -> str | None:
    came = step.from_state or None
    try:
        if isinstance(step, CertificateStep):
            return after(came, Event(step.event))
        return stock.after(came, stock.Movement(step.event))
    except ValueError:
        return None


def _provisioned(lives: Iterable[Sequence[_Step]]) -> str:
    """How many certificates were made by `init`, and by whom as the machine knew him."""
    makers = Counter(steps[0].reason or "unknown" for steps in lives if steps and steps[0].staff == PROVISIONED)
    return ", ".join(f"{number} by {who}" for who, number in sorted(makers.items()))


def judge_binding(
    row: RegisteredCertificate, bindings: Sequence[Binding], steps: Mapping[str, Sequence[_Step]]
) -> Iterator[str]:
    """A certificate that is bound has one binding in force, prepared and approved by two people; any other has none."""
    in_force = [one for one in bindings if one.unbound_at is None]
    bound = {step.staff for step in steps.get(row.keyid, ()) if step.event == Event.BIND}
    # What was frozen before it was ever bound has none.
    if len(in_force) != (row.state in BOUND and (bool(bound) or row.state != Life.FROZEN)):
        yield f"it is {row.state} with {len(in_force)} bindings in force"
    for one in bindings:
        if one.prepared_by == one.approved_by != PROVISIONED:
            yield f"{one.approved_by} prepared and approved its binding"
        if one.approved_by not in bound:
            yield f"its binding names {one.approved_by}, the step that bound it {', '.join(sorted(bound)) or 'nobody'}"


def _judge_request(request: CertificateRequest, steps: Sequence[_Step]) -> Iterator[str]:
    said = {step.event: step.staff for step in steps}
    if said.get(Event.APPLY) != request.applied_by:
        yield f"applied for by {request.applied_by}, its step says {said.get(Event.APPLY, 'nobody')}"
    approved = said.get(Event.APPROVE)
    if approved is not None and approved == request.applied_by:
        yield f"{approved} applied for it and approved it"


def judge_plan(plan: Approval, deeds: Mapping[str, Done]) -> Iterator[str]:
    """Prepared by one person's signature, decided by another's over exactly this plan."""
    prepared = deeds.get(plan.prepared_record, Done(wrong="its record is gone"))
    if prepared.wrong:
        yield f"prepared: {prepared.wrong}"
    elif (prepared.digest, prepared.who, prepared.action) != (plan.plan_sha256, plan.prepared_by, plan.kind):
        yield f"it is not what {prepared.who} prepared"
    if plan.state == "OPEN":
        return
    decided = deeds.get(str(plan.decided_record), Done(wrong="its record is gone"))
    if decided.wrong:
        yield f"decided: {decided.wrong}"
        return
    wanted = REJECT if plan.state == "REJECTED" else APPROVE
    said = (decided.subject, decided.who, decided.action, decided.keyid, decided.signature)
    if said != (plan.plan_sha256, plan.decided_by, wanted, plan.keyid, plan.signature) or not decided.did:
        yield f"it is {plan.state}, which is not what {decided.who} signed"
    if wanted == APPROVE and plan.decided_by == plan.prepared_by:
        yield f"{plan.decided_by} prepared and approved it"


def judge_deed(
    step: _Step,
    deeds: Mapping[str, Done],
    plans: Mapping[str, Approval],
    certificates: Mapping[str, RegisteredCertificate],
) -> Iterator[str]:
    """Whoever the step names signed what it says, and it was done; the clock and the provisioning sign nothing."""
    if step.staff in (PROVISIONED, CLOCK):
        if step.staff == CLOCK and step.event != Event.EXPIRE:
            yield "only the end of its time comes without a person"
        return
    done = deeds.get(str(step.record_id), Done(wrong="nobody signed it"))
    if done.wrong:
        yield done.wrong
        return
    if (done.digest, done.who) != (step.deed, step.staff):
        yield f"it is not what {done.who} signed"
    room = "certs" if isinstance(step, CertificateStep) else "key"
    wanted = _ACTIONS.get(step.event, frozenset({f"{room}.{step.event}"}))
    plan = plans.get(done.subject) if done.action in (APPROVE, REJECT) else None
    action, subject = (plan.kind, plan.subject) if plan is not None else (done.action, done.subject)
    # A key is set aside by the deed that waits.
    if not (done.did or step.event == stock.Movement.HAND_OUT):
        yield f"{done.who} signed {action}, and it was not done"
    elif isinstance(step, CertificateStep) and (
        brought_in.brings(step.number, step.event, action, plan)
        or (step.event == Event.FREEZE and step.subject in brought_in.lost_by(done, certificates))
    ):
        return
    elif action not in wanted or (step.event in _TWO and plan is None):
        yield f"{done.who} signed {action}, which does not {step.event} it"
    elif action == f"{room}.{step.event}" and step.event not in _OTHER_SUBJECT and subject != _subject(step):
        yield f"{done.who} signed it for {subject}"
