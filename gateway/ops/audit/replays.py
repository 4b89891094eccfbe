"""Every replay is an item of a plan that two people approved, and was run under a deed about that plan (M12)."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from msgspec.structs import replace

from contracts.strict_json import Malformed
from gateway.core.deeds import read_deed
from gateway.core.items import Refusal
from gateway.core.replay_deeds import RUN, START
from gateway.core.replays import PlanFile, PlanItem, read_plan, strange_in
from gateway.core.rows import Approval, DeadLetter, LetterHead, ReplayPlan, ReplayStep
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows, columns, records
from gateway.store.port import Snapshot
from gateway.store.shapes import shape_of

_STEPS = f"SELECT {columns(ReplayStep)} FROM replay_steps t WHERE t.plan_sha256 = :plan ORDER BY t.number"  # noqa: S608
_FILE = "SELECT t.body FROM replay_files t WHERE t.plan_sha256 = :plan"
_STARTS = (
    "SELECT n.record, COALESCE(r.base, a.base) FROM (SELECT DISTINCT t.run_record AS record FROM replay_steps t"
    " WHERE t.plan_sha256 = :plan AND t.run_record IS NOT NULL) n"
    " LEFT JOIN records r ON r.record_id = n.record AND r.kind = 'deed'"
    " LEFT JOIN archive_records a ON a.record_id = n.record AND a.kind = 'deed'"
)
_LETTERS = f"SELECT {columns(DeadLetter)} FROM dead_letters t ORDER BY t.letter_id"  # noqa: S608
_DID = (
    "SELECT t.letter_id, count(*) FROM replay_steps t WHERE t.outcome = 'sent-again' OR t.outcome = 'asked'"
    " GROUP BY t.letter_id"
)


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """dead-letters, replays."""
    letters, plans = Findings("dead-letters"), Findings("replays")
    heads = await _letters(snapshot, letters)
    approvals = {row.plan_sha256: row for row in await all_rows(snapshot, Approval) if row.kind == RUN}
    for plan in await all_rows(snapshot, ReplayPlan, "ORDER BY t.plan_sha256"):
        plans.take(plan.plan_sha256, judge_plan(plan, approvals.get(str(plan.approval))))
        body = [row async for row in records(snapshot, _FILE, {"plan": plan.plan_sha256})]
        file = _read(plan, body[0][0] if body else b"")
        if file is None:
            plans.add(plan.plan_sha256, "its file is not the plan that its hash names")
            continue
        starts = {record: _is_start(base, plan) async for record, base in _of(snapshot, _STARTS, plan)}
        approved_at = approvals[plan.approval].decided_at if plan.approval in approvals else None
        done = count = 0
        async for values in _of(snapshot, _STEPS, plan):
            step = shape_of(ReplayStep).build(values)
            assert isinstance(step, ReplayStep)
            count += 1
            done += step.outcome is not None
            item = file.letters[count - 1] if count <= len(file.letters) else None
            said = judge_step(step, count, item, heads, starts=starts, approved_at=approved_at)
            plans.take(f"{plan.plan_sha256} {step.number}", said)
        if (count, done) != (plan.spread, plan.done):
            plans.add(plan.plan_sha256, f"it has {count} steps, {done} done; it says {plan.spread}, {plan.done}")
    return [letters.checked(), plans.checked()]


async def _of(snapshot: Snapshot, sql: str, plan: ReplayPlan) -> AsyncIterator[tuple[object, ...]]:
    async for row in records(snapshot, sql, {"plan": plan.plan_sha256}):
        yield row


async def _letters(snapshot: Snapshot, found: Findings) -> Mapping[str, LetterHead]:
    """Every letter, without what may be long."""
    did = {letter: count async for letter, count in records(snapshot, _DID)}
    heads: dict[str, LetterHead] = {}
    originals: dict[str, str] = {}
    # One at a time: a body may be long.
    async for part in snapshot.rows(_LETTERS, {}, 50):
        for values in part:
            letter = shape_of(DeadLetter).build(values)
            assert isinstance(letter, DeadLetter)
            heads[letter.letter_id] = LetterHead(
                **{name: getattr(letter, name) for name in LetterHead.__struct_fields__}
            )
            found.take(letter.letter_id, judge_letter(letter, did_of(letter, did)))
            if letter.corrects is not None:
                originals[letter.letter_id] = letter.corrects
    for copy, original in originals.items():
        if original not in heads:
            found.add(copy, f"it corrects {original}, which is not here")
    return heads


def did_of(letter: DeadLetter, did: Mapping[object, object]) -> int:
    """How many replays did something: of the letter, and of the one that it corrects, whose count it carries on."""
    return sum(int(str(did.get(one, 0))) for one in (letter.letter_id, letter.corrects))


def judge_letter(letter: DeadLetter, did: int) -> Iterator[str]:
    """One letter. did: how many replays of it did something."""
    if hashlib.sha256(letter.body).hexdigest() != letter.body_sha256:
        yield "its body is not the one that was kept"
    if letter.runs > did:
        yield f"it counts {letter.runs} replays, and {did} are in the book"
    if (letter.state == "CLOSED" or letter.corrects is not None) and letter.record_id is None:
        yield f"it is {letter.state}, and no deed says so"


def judge_plan(plan: ReplayPlan, approval: Approval | None) -> Iterator[str]:
    """A plan against its approval."""
    if plan.state == "KEPT":
        return
    if approval is None or approval.state != "DONE" or approval.subject != plan.plan_sha256:
        yield f"it is {plan.state}, and nobody approved it"
        return
    if approval.decided_by in (None, approval.prepared_by):
        yield f"{approval.prepared_by} prepared and approved it"
    deed = read_deed(approval.plan)
    terms = {"items": str(plan.items), "amount_fen": str(plan.fen)}
    if isinstance(deed, Refusal) or deed.fields != terms:
        yield "what was approved names another number of letters or amount"


def _read(plan: ReplayPlan, body: bytes) -> PlanFile | None:
    """The plan in these bytes, if they are what the row says."""
    if hashlib.sha256(body).hexdigest() != plan.plan_sha256:
        return None
    try:
        found = read_plan(body)
    except Malformed:
        return None
    return found if (len(found.letters), sum(i.amount_fen for i in found.letters)) == (plan.items, plan.fen) else None


def _is_start(base: object, plan: ReplayPlan) -> bool:
    """Whether this is a deed that runs this plan."""
    deed = read_deed(base) if isinstance(base, bytes) else None
    return (
        deed is not None and not isinstance(deed, Refusal) and (deed.action, deed.subject) == (START, plan.plan_sha256)
    )


def judge_step(
    step: ReplayStep,
    number: int,
    item: PlanItem | None,
    letters: Mapping[str, LetterHead | DeadLetter],
    *,
    starts: Mapping[object, bool],
    approved_at: int | None,
) -> Iterator[str]:
    """A step against the item of the approved plan, and the deed that it was run under."""
    meant = None if item is None else (item.letter_id, item.verdict, item.biller)
    if step.number != number or meant != (step.letter_id, step.verdict_planned, step.biller):
        yield "it is no item of its plan"
        return
    name = None if item is None else strange_in(item, letters.get(step.letter_id))
    if name in ("letter_id", "body_sha256"):
        yield f"the letter {step.letter_id} is not the one that was planned"
    elif name is not None:
        yield f"the plan names another {name} than the letter {step.letter_id}"
    if step.outcome is None:
        return
    if not starts.get(step.run_record, False):
        yield f"the deed {step.run_record} it was run under is none about its plan"
    if approved_at is None or (step.at or 0) < approved_at:
        yield "it was run before its plan was approved"
    if step.outcome != "skipped" and replace(step, verdict_now=step.verdict_planned) != step:
        yield f"it did {step.outcome} although the verdict was {step.verdict_now}"
