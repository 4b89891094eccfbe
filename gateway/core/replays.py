"""Replay plans: kept by their hash, approved by two people, run item by item under the payments' locks (M12).

A replay calls nobody. It wakes the workers for an order that never left, or the resolver for one in doubt; both decide
as always, by the book.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from contracts.serials import Serials
from contracts.states import OrderState
from contracts.strict_json import Malformed, canonical
from gateway.core import messages
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Kept, NotNow, Refusal, Reply
from gateway.core.letters import Facts, JudgedLetter, read_facts
from gateway.core.rows import (
    Alarm,
    Approval,
    DeadLetter,
    LetterHead,
    Order,
    Payment,
    RegisteredCertificate,
    ReplayFile,
    ReplayPlan,
    ReplayStep,
    StaffMember,
)
from gateway.core.steps import Now, Read, Scan, Work
from gateway.core.verdicts import ACTS, LOOP_MAX, Verdict

SCHEMA = "bianmin.replay-plan.v1"
PLAN_MAX = 16 * 1024 * 1024
"""Bytes of a plan file."""


class PlanItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One letter as it was judged, in the words of its row. amount_fen 0: unknown."""

    letter_id: str
    body_sha256: str
    verdict: Verdict
    biller: str | None
    order_serial: str | None
    amount_fen: int


class PlanTotal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many letters have a verdict, and their amounts together."""

    verdict: Verdict
    letters: int
    amount_fen: int


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan: canonical JSON of this. book_at: the database's clock, ms, when the first letter was judged.

    filter: how the letters were chosen, by name. letters: by letter_id. totals: by verdict, those that occur.
    """

    schema: str
    book_at: int
    filter: dict[str, str]
    letters: list[PlanItem]
    totals: list[PlanTotal]


class KeepPlan(Item, frozen=True, kw_only=True):
    """Keep a plan file by its hash; one that is kept already stays as it is."""

    body: bytes


class SpreadPlan(Item, frozen=True, kw_only=True):
    """Write the next steps of a kept plan. Replies Kept: how many it wrote, 0: all are there."""

    plan_sha256: str
    limit: int = 1_000


class ReplayLetters(Item, frozen=True, kw_only=True):
    """Do these items of a plan, if they have not been done. run_record: of the deed under which the asker runs it."""

    plan_sha256: str
    run_record: str
    numbers: list[int]
    entropy: int


class PeekReplay(Item, frozen=True, kw_only=True):
    """A plan as it stands, and the next of its items that have not been done, after a number."""

    plan_sha256: str
    after: int = 0
    limit: int = 0


class Replayed(Reply, frozen=True, kw_only=True):
    """What became of the items asked for that were not done before. ended: the plan has no more."""

    steps: list[ReplayStep]
    ended: bool


class ReplaySeen(Reply, frozen=True, kw_only=True):
    """plan: None where there is none of this hash."""

    plan: ReplayPlan | None
    due: list[ReplayStep]


def read_plan(body: bytes) -> PlanFile:
    """The plan in these bytes, whole and in its one form. Raises Malformed."""
    if len(body) > PLAN_MAX:
        raise Malformed(f"a plan has at most {PLAN_MAX} bytes")
    try:
        plan = msgspec.json.decode(body, type=PlanFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed(str(wrong)) from None
    if canonical(plan) != body:  # so no member occurs twice, and nothing else is in it
        raise Malformed("not in canonical form")
    if plan.schema != SCHEMA:
        raise Malformed(f"its schema is not {SCHEMA}", "$.schema")
    ids = [one.letter_id for one in plan.letters]
    if not ids or ids != sorted(set(ids)):
        raise Malformed("letters are at least one, each once, by their ids", "$.letters")
    if any(one.amount_fen < 0 for one in plan.letters):
        raise Malformed("an amount is not below 0", "$.letters")
    if plan.totals != totals_of(plan.letters):
        raise Malformed("totals are not those of the letters", "$.totals")
    return plan


def plan_item(one: JudgedLetter) -> PlanItem:
    """A judged letter as it stands in a plan."""
    letter = one.letter
    return PlanItem(
        letter_id=letter.letter_id,
        body_sha256=letter.body_sha256,
        verdict=Verdict(one.verdict),
        biller=letter.biller,
        order_serial=letter.order_serial,
        amount_fen=letter.amount_fen or 0,
    )


def strange_in(item: PlanItem, letter: LetterHead | DeadLetter | None) -> str | None:
    """The first member of an item that is not its letter's; None where all are. letter: None where there is none."""
    if letter is None:
        return "letter_id"
    told = {
        "letter_id": letter.letter_id,
        "body_sha256": letter.body_sha256,
        "biller": letter.biller,
        "order_serial": letter.order_serial,
        "amount_fen": letter.amount_fen or 0,
    }
    return next((name for name, held in told.items() if getattr(item, name) != held), None)


def totals_of(letters: Sequence[PlanItem]) -> list[PlanTotal]:
    """Totals by verdict, in the order of the verdicts' names."""
    found: dict[Verdict, list[int]] = {}
    for one in letters:
        found.setdefault(one.verdict, []).append(one.amount_fen)
    return [PlanTotal(verdict=v, letters=len(found[v]), amount_fen=sum(found[v])) for v in sorted(found)]


def keep_plan(items: Sequence[KeepPlan], env: Env) -> Work[list[Reply]]:
    """Replies: Kept with how many were new, or Refusal for what is no plan, or is not as the book's letters are."""
    now: int = yield Now()
    book, replies = Book(), list[Reply]()
    for item in items:
        try:
            plan = read_plan(item.body)
        except Malformed as wrong:
            replies.append(Refusal(slug="malformed", detail=f"no plan: {wrong}", field=wrong.field))
            continue
        digest = hashlib.sha256(item.body).hexdigest()
        book.load((yield Read("replay_plans", [(digest,)])))
        if book.get(ReplayPlan, digest) is not None:
            replies.append(Kept(count=0))
            continue
        letters: list[LetterHead] = yield Read("letter_heads", [(one.letter_id,) for one in plan.letters])
        if (refused := _disagrees(plan, letters)) is not None:
            replies.append(refused)
            continue
        fen = sum(one.amount_fen for one in plan.letters)
        book.add(ReplayPlan(plan_sha256=digest, items=len(plan.letters), fen=fen, kept_at=now))
        book.add(ReplayFile(plan_sha256=digest, body=item.body))
        replies.append(Kept(count=1))
    yield book.write()
    return replies


def _disagrees(plan: PlanFile, letters: Sequence[LetterHead]) -> Refusal | None:
    """Of every item each word that two people will read is the book's, or the plan is not kept."""
    by_id = {letter.letter_id: letter for letter in letters}
    for one in plan.letters:
        name = strange_in(one, by_id.get(one.letter_id))
        if name in ("letter_id", "body_sha256"):
            return Refusal(slug="not-found", detail=f"The book has no letter {one.letter_id} with this body.")
        if name is not None:
            detail = f"no plan: {name} is not that of the letter {one.letter_id}"
            return Refusal(slug="malformed", detail=detail, field=f"$.letters.{name}")
    return None


def spread_plan(items: Sequence[SpreadPlan], env: Env) -> Work[list[Reply]]:
    """Replies: Kept, or Refusal where there is no such plan. In slices: no commit holds the book up for long."""
    yield Now()
    book, replies = Book(), list[Reply]()
    for item in items:
        book.load((yield Read("replay_plans_locked", [(item.plan_sha256,)])))
        plan = book.get(ReplayPlan, item.plan_sha256)
        if plan is None:
            replies.append(Refusal(slug="not-found", detail="There is no such plan."))
            continue
        if plan.spread == plan.items:
            replies.append(Kept(count=0))
            continue
        files: list[ReplayFile] = yield Read("replay_files", [(item.plan_sha256,)])
        letters = msgspec.json.decode(files[0].body, type=PlanFile).letters[plan.spread : plan.spread + item.limit]
        heads: list[LetterHead] = yield Read("letter_heads", [(one.letter_id,) for one in letters])
        billers = {head.letter_id: head.biller for head in heads}  # the pace is by the row, whatever the file says
        for number, one in enumerate(letters, plan.spread + 1):
            book.add(
                ReplayStep(
                    plan_sha256=plan.plan_sha256,
                    number=number,
                    letter_id=one.letter_id,
                    biller=billers[one.letter_id],
                    verdict_planned=one.verdict,
                )
            )
        book.put(replace(plan, spread=plan.spread + len(letters)))
        replies.append(Kept(count=len(letters)))
    yield book.write()
    return replies


def approvers_stand(plan: ReplayPlan, book: Book, now: int) -> Work[Refusal | None]:
    """Why a plan that was approved may not run any more: who prepared or approved it has left, or may not sign."""
    book.load((yield Read("approvals", [(str(plan.approval),)])))
    approval = book.need(Approval, str(plan.approval))
    people = sorted({(approval.prepared_by,), (str(approval.decided_by),)})
    keys = sorted({(approval.prepared_keyid,), (str(approval.keyid),)})
    book.load((yield Read("staff", people)))
    book.load((yield Read("certificates", keys)))
    if any(book.need(StaffMember, *one).state != "ACTIVE" for one in people):
        return Refusal(slug="state-conflict", detail="Who prepared or approved the plan has left: make a new one.")
    for one in keys:
        row = book.need(RegisteredCertificate, *one)
        if row.state in ("FROZEN", "REVOKED", "EXPIRED") or now >= row.not_after:
            detail = f"The certificate {row.keyid} of who prepared or approved the plan is frozen, revoked or expired."
            return Refusal(slug="state-conflict", detail=detail)
    return None


def replay_letters(items: Sequence[ReplayLetters], env: Env) -> Work[list[Reply]]:
    """Replies: Replayed; NotNow where another runs the plan now or it is at its end; Refusal as approvers_stand."""
    now: int = yield Now()
    replies: list[Reply] = []
    for item in items:
        book = Book()
        book.load((yield Read("replay_plans_locked", [(item.plan_sha256,)])))
        plan = book.get(ReplayPlan, item.plan_sha256)
        if plan is None or plan.state != "RUNNING" or plan.run_record != item.run_record:
            replies.append(NotNow(gone=True, cause="another holds it"))
            continue
        if (refused := (yield from approvers_stand(plan, book, now))) is not None:
            replies.append(refused)
            continue
        replies.append((yield from _replay(item, plan, book, now=now, env=env)))
        yield book.write()
    return replies


def _replay(item: ReplayLetters, plan: ReplayPlan, book: Book, *, now: int, env: Env) -> Work[Replayed]:
    places = [(item.plan_sha256, number) for number in sorted(set(item.numbers))]
    book.load((yield Read("replay_steps", places)))
    due = [step for step in book.all(ReplayStep) if step.outcome is None]
    letters = sorted({(step.letter_id,) for step in due})
    heads: list[LetterHead] = (yield Read("letter_heads", letters)) if letters else []
    # Only what may move is locked: the longest bodies are those of letters that nobody can read.
    acting = sorted((head.letter_id,) for head in heads if head.message == "order" and head.state == "OPEN")
    if acting:
        book.load((yield Read("dead_letters_locked", acting)))
    payments = sorted({(head.gateway_serial,) for head in heads if head.gateway_serial})
    if payments:
        book.load((yield Read("payments_locked", payments)))
    by_id: dict[str, LetterHead | DeadLetter] = {head.letter_id: head for head in heads}
    by_id |= {letter.letter_id: letter for letter in book.all(DeadLetter)}
    facts = yield from read_facts(list(by_id.values()), book)
    running = _Running(book, facts, item, now=now, env=env)
    steps = [running.step(step, by_id[step.letter_id]) for step in sorted(due, key=lambda step: step.number)]
    done = plan.done + len(steps)
    ended = done == plan.items
    book.put(replace(plan, done=done, state="DONE" if ended else plan.state))
    return Replayed(steps=steps, ended=ended)


class _Running:
    """Does items of a plan in the book of one commit."""

    def __init__(self, book: Book, facts: Facts, item: ReplayLetters, *, now: int, env: Env) -> None:
        self._book, self._facts, self._now, self._env = book, facts, now, env
        self._run_record = item.run_record
        self._serials = Serials(now, env.zone, item.entropy)

    def step(self, step: ReplayStep, head: LetterHead | DeadLetter) -> ReplayStep:
        """Judge it again; only what is still as planned is done."""
        letter = self._book.get(DeadLetter, head.letter_id)
        verdict = self._facts.judge(head if letter is None else letter, self._now)
        if verdict != step.verdict_planned:
            outcome = "skipped"
        elif verdict not in ACTS or letter is None:
            outcome = "nothing"
        else:
            outcome = self._act(verdict, letter)
        done = replace(step, verdict_now=verdict, outcome=outcome, run_record=self._run_record, at=self._now)
        self._book.put(done)
        return done

    def _act(self, verdict: Verdict, letter: DeadLetter) -> str:
        order = self._book.need(Order, letter.order_serial)
        payment = self._book.need(Payment, order.gateway_serial)
        if verdict is Verdict.SEND_AGAIN:
            self._book.add(messages.request(order, payment, self._serials.mint(), self._now, self._env))
        elif order.in_flight or order.state not in (OrderState.SENT, OrderState.UNKNOWN):
            return "call-running"
        else:
            # Never closer to the question before than the biller allows, whenever that was; and never later.
            due = self._now + self._env.facts_of(payment.service).query_min_interval_s * 1000
            if order.ask_at is None or order.ask_at > due:
                self._book.put(replace(order, ask_at=due, version=order.version + 1))
        self._count(letter)
        return "sent-again" if verdict is Verdict.SEND_AGAIN else "asked"

    def _count(self, letter: DeadLetter) -> None:
        runs = letter.runs + 1
        looped = runs >= LOOP_MAX
        self._book.put(replace(letter, runs=runs, state="QUARANTINED" if looped else letter.state))
        if looped:
            self._book.add(
                Alarm(
                    alarm_id=self._serials.mint(),
                    kind="letter.looped",
                    biller=letter.biller,
                    gateway_serial=letter.gateway_serial,
                    detail=f"letter {letter.letter_id} was replayed {runs} times",
                    raised_at=self._now,
                )
            )


def peek_replay(items: Sequence[PeekReplay], env: Env) -> Work[list[Reply]]:
    """Replies: ReplaySeen."""
    replies: list[Reply] = []
    for item in items:
        plans: list[ReplayPlan] = yield Read("replay_plans", [(item.plan_sha256,)])
        due: list[ReplayStep] = []
        if item.limit:
            place = {"plan": item.plan_sha256, "after": item.after, "limit": item.limit}
            due = yield Scan("replay_steps_due", place)
        replies.append(ReplaySeen(plan=plans[0] if plans else None, due=due))
    return replies
