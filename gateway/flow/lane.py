"""One biller's lane: who may be called now, many at once, in turn per account (design s3.3).

Everything durable is in the book. The lane only remembers what it is doing: orders offered to it, the calls that
run, and the accounts they run for. What it forgets in a crash, the sweep offers again.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from contracts import traces
from contracts.biller import Biller, Cancels, PayOrder, QueriesResults, Reverses, UndoOrder
from contracts.breaker import Breaker, BreakerPolicy, Ticket
from contracts.manifest import Manifest
from contracts.outcomes import Unknown
from contracts.sent import SENT
from contracts.states import OrderKind, OrderState
from gateway.core.allowances import CALLS, QUESTIONS
from gateway.core.items import Answer, Claim, Granted, Judge, Judged, NotNow, Question
from gateway.core.rows import Order
from gateway.flow.answers import AnyAnswer, answered, flatten, granted_order, result_query
from gateway.flow.crash_points import CrashPoint
from gateway.flow.parts import Parts
from gateway.flow.shares import Share, make_shares
from gateway.store.port import StoreError

PENDING_MAX = 20_000
SAVE_AGAIN_S = 0.5
DEADLINE_MARGIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Ref:
    """An order that waits for its call."""

    gateway_serial: str
    order_serial: str
    biller_account: str
    repeat: bool = False


class Lane:
    """Calls one biller. `offer` is idempotent; nothing here decides about money.

    shares: what this process uses of the biller, CALLS or QUESTIONS or both; by default it is alone and uses all.
    """

    def __init__(
        self,
        biller: Biller,
        manifest: Manifest,
        parts: Parts,
        *,
        policy: BreakerPolicy,
        shares: Mapping[str, Share] | None = None,
    ) -> None:
        self._biller, self._manifest, self._parts = biller, manifest, parts
        self.breaker = Breaker(policy)
        self.shares = shares or make_shares(manifest, parts.clock)
        # Who only asks sends an undo in doubt again under the share of the questions.
        self.slots = self.shares[CALLS] if CALLS in self.shares else self.shares[QUESTIONS]
        self.questions = self.shares.get(QUESTIONS, self.slots)
        self._pending: deque[Ref] = deque()
        self._known: set[str] = set()
        self._lines: dict[str, deque[Ref]] = {}
        self._wake = asyncio.Event()
        self._paused = False
        for share in self.shares.values():
            share.changed = self._wake.set

    @property
    def name(self) -> str:
        """The biller's name."""
        return self._manifest.name

    def start(self) -> None:
        """Begin to call."""
        self._parts.tasks.for_ever(f"lane.{self.name}", self._start_calls, self._parts.clock)

    def pause(self) -> None:
        """Take no new call (draining)."""
        self._paused = True

    def in_flight(self) -> int:
        """Calls that run now, questions included."""
        return sum(share.in_use() for share in self.shares.values())

    def room_for_questions(self) -> int:
        """How many questions could be asked at once now."""
        return 0 if self._paused else self.questions.free(self._parts.clock.monotonic())

    def depth(self) -> int:
        """Orders that wait for their call in this process."""
        return len(self._known)

    def closed_for_s(self) -> int:
        """Seconds until the breaker lets the next call through; 0 while it does."""
        now = self._parts.clock.monotonic()
        retry_at = self.breaker.retry_at(now)
        return 0 if retry_at is None else max(1, round(retry_at - now))

    def offer(self, ref: Ref) -> None:
        """An order may be READY (repeat: in doubt): try it in its turn. A full lane leaves it to the sweep."""
        if ref.order_serial in self._known or len(self._known) >= PENDING_MAX:
            return
        self._known.add(ref.order_serial)
        self._queue(ref)

    def offer_order(self, order: Order, *, repeat: bool = False) -> None:
        """The same, from a row."""
        self.offer(Ref(order.gateway_serial, order.order_serial, order.biller_account, repeat))

    def _queue(self, ref: Ref) -> None:
        """Into its account's line; only its head stands for a slot, so a long line costs the others nothing."""
        line = self._lines.setdefault(ref.biller_account, deque())
        line.append(ref)
        if len(line) == 1:
            self._pending.append(ref)
            self._wake.set()

    def _next_in_line(self, ref: Ref) -> None:
        line = self._lines[ref.biller_account]
        line.popleft()
        if line:
            self._pending.append(line[0])
        else:
            del self._lines[ref.biller_account]

    async def _start_calls(self) -> float:
        """Start what may start, until nothing waits. After a turn that failed nobody need wake it."""
        if self._paused or not self._pending:
            await self._wake.wait()
        self._wake.clear()
        while self._pending and not self._paused:
            now = self._parts.clock.monotonic()
            ticket = self.breaker.try_start(now)
            if ticket is None:
                await self._wake_within((self.breaker.retry_at(now) or now) - now)
                continue
            if not self.slots.try_take(now):
                self.breaker.abandoned(ticket)
                await self._wait_for_slot()
                continue
            ref = self._pending.popleft()
            self._parts.tasks.start(f"call.{self.name}", self._serve(ref, ticket, self.slots.holder))
        return 0

    async def _wait_for_slot(self) -> None:
        now = self._parts.clock.monotonic()
        at = self.slots.next_at(now)
        if at is not None:
            await self._wake_within(at - now)
            return
        await self._wake.wait()
        self._wake.clear()

    async def _wake_within(self, seconds: float) -> None:
        """Wait for a call's end (a probe's answer may open the breaker), a new offer, or so long."""
        waits = [
            asyncio.ensure_future(self._parts.clock.sleep(max(0.001, seconds))),
            asyncio.ensure_future(self._wake.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._wake.clear()

    async def _serve(self, ref: Ref, ticket: Ticket, holder: str | None) -> None:
        """Claim, call, save: one order from READY to whatever the biller said. holder: under which the slot is ours."""
        again: Order | None = None
        slot = _Slot(self.slots)
        try:
            claimed = await self._claim(ref, holder)
            if claimed is None:
                self.breaker.abandoned(ticket)
                return
            granted, send_deadline = claimed
            self._parts.crash.reach(CrashPoint.CLAIM_AFTER_COMMIT)
            again = await self._call_and_save(granted, send_deadline, ticket, slot)
        finally:
            slot.free()
            self._known.discard(ref.order_serial)
            self._next_in_line(ref)
            if again is not None:
                self._offer_later(again)
            self._wake.set()

    def _offer_later(self, order: Order) -> None:
        delay = max(0.0, ((order.next_try_at or 0) - self._parts.clock.now().timestamp() * 1000) / 1000)
        self._parts.tasks.start(f"retry.{self.name}", self._offer_after(order, delay))

    async def _offer_after(self, order: Order, delay: float) -> None:
        await self._parts.clock.sleep(delay)
        self.offer_order(order)

    async def _claim(self, ref: Ref, holder: str | None) -> tuple[Granted, float] | None:
        """The commit after which a byte may leave, and the moment (boottime) until which it may."""
        parts = self._parts
        parts.crash.reach(CrashPoint.CLAIM_BEFORE_COMMIT)
        claim = Claim(
            gateway_serial=ref.gateway_serial,
            order_serial=ref.order_serial,
            worker=holder or parts.worker,
            entropy=parts.entropy(),
            repeat=ref.repeat,
            share=self.slots.name if holder else None,
        )
        # Read before the claim: the book's send_by is later than this by at least the commit, never earlier.
        send_deadline = parts.clock.boottime() + parts.env.send_window_ms / 1000
        try:
            reply = await parts.store.run(claim)
        except StoreError as error:
            # It may have been committed; then nobody calls, and recovery asks the biller after the deadline.
            parts.note.claim_failed(self.name, ref.gateway_serial, error)
            return None
        if isinstance(reply, Granted):
            return reply, send_deadline
        if isinstance(reply, NotNow) and not reply.gone and reply.cause in ("turn", "allowance"):
            parts.tasks.start(f"retry.{self.name}", self._turn_later(ref))
        return None

    async def _turn_later(self, ref: Ref) -> None:
        await self._parts.clock.sleep(SAVE_AGAIN_S)
        self.offer(ref)

    async def _call_and_save(
        self, granted: Granted, send_deadline: float, ticket: Ticket, slot: "_Slot"
    ) -> Order | None:
        parts, started = self._parts, self._parts.clock.monotonic()
        sent: list[bytes] = []
        outcome = await self._call(granted, send_deadline, sent)
        slot.free()  # the biller is done with us: another account's call need not wait for our commit
        self._wake.set()
        answer = flatten(outcome)
        elapsed_s = parts.clock.monotonic() - started
        self._tell_breaker(ticket, answer)
        parts.note.call_ended(granted, answer, elapsed_s)
        parts.crash.reach(CrashPoint.CALL_ANSWERED)
        judged = await self.save(
            Judge(
                source="reply",
                entropy=parts.entropy(),
                answer=answer,
                gateway_serial=granted.order.gateway_serial,
                order_serial=granted.order.order_serial,
                attempt_id=granted.attempt_id,
                sent=tuple(sent),
                trace_id=granted.payment.trace_id,
            )
        )
        parts.crash.reach(CrashPoint.OUTCOME_AFTER_COMMIT)
        return judged.again if granted.order.state != OrderState.UNKNOWN else None

    def _tell_breaker(self, ticket: Ticket, answer: Answer) -> None:
        """Any word of the biller is a success; silence and refused connections are what the breaker counts."""
        now = self._parts.clock.monotonic()
        was = self.breaker.state(now)
        if answered(answer):
            self.breaker.succeeded(ticket)
        else:
            self.breaker.failed(ticket, now)
        if self.breaker.state(now) is not was:
            self._parts.note.breaker_moved(self.name, was, self.breaker.state(now))

    async def _call(self, granted: Granted, send_deadline: float, sent: list[bytes]) -> AnyAnswer:
        """The biller's word as a value, whatever the adapter does; no call outlives its deadline."""
        order = granted_order(granted, send_deadline)
        limit_s = (granted.call_deadline - granted.now) / 1000 - DEADLINE_MARGIN_S
        traces.CURRENT.set(traces.traceparent(granted.payment.trace_id, granted.attempt_id))
        SENT.set(sent)
        try:
            async with asyncio.timeout(limit_s):
                return await self._dispatch(granted, order)
        except TimeoutError:
            return Unknown(cause="no answer by the call's deadline")
        except Exception as error:  # boundary: an adapter's bug leaves the payment in doubt, it decides nothing
            self._parts.note.adapter_failed(self.name, granted.order.gateway_serial, error)
            return Unknown(cause=f"adapter failed: {type(error).__name__}")

    async def _dispatch(self, granted: Granted, order: PayOrder | UndoOrder) -> AnyAnswer:
        biller, kind = self._biller, OrderKind(granted.order.kind)
        if isinstance(order, PayOrder):
            if kind is not OrderKind.PAY:
                raise TypeError(f"{self.name} has no way to send a {kind}")
            return await biller.pay(order)
        if kind is OrderKind.REVERSE and isinstance(biller, Reverses):
            return await biller.reverse(order)
        if kind is OrderKind.CANCEL and isinstance(biller, Cancels):
            return await biller.cancel(order)
        raise TypeError(f"{self.name} has no way to send a {kind}")

    async def ask(self, question: Question) -> Judge | None:
        """One question under the biller's own limits; None where it cannot be asked now (its next turn is booked)."""
        biller, parts = self._biller, self._parts
        if not isinstance(biller, QueriesResults) or not self.questions.try_take(parts.clock.monotonic()):
            return None
        facts = parts.env.facts_of(question.payment.service)
        asked = f"{question.order.order_serial}.{question.order.asks}"
        traces.CURRENT.set(traces.traceparent(question.payment.trace_id, asked))
        sent: list[bytes] = []
        SENT.set(sent)
        try:
            async with asyncio.timeout(facts.call_deadline_s):
                evidence: AnyAnswer = await biller.query_result(result_query(question))
        except TimeoutError:
            evidence = Unknown(cause="the question had no answer in time")
        except Exception as error:  # boundary: an adapter's bug is no evidence
            parts.note.adapter_failed(self.name, question.order.gateway_serial, error)
            evidence = Unknown(cause=f"adapter failed: {type(error).__name__}")
        finally:
            self.questions.release()
            self._wake.set()
        answer = flatten(evidence)
        parts.note.question_answered(question, answer)
        return Judge(
            source="query",
            asked_at=question.asked_at,
            entropy=parts.entropy(),
            answer=answer,
            gateway_serial=question.order.gateway_serial,
            order_serial=question.order.order_serial,
            sent=tuple(sent),
            trace_id=question.payment.trace_id,
        )

    async def save(self, evidence: Judge) -> Judged:
        """Write evidence into the book, again and again until it is there: it must not get lost while we live."""
        parts = self._parts
        while True:
            try:
                reply = await parts.store.run(evidence)
            except StoreError as error:
                parts.note.save_failed(self.name, evidence.gateway_serial or "", error)
                await parts.clock.sleep(SAVE_AGAIN_S)
                continue
            if not isinstance(reply, Judged):
                raise TypeError(f"the book answered evidence with {type(reply).__name__}")
            parts.note.judged(self.name, evidence, reply)
            return reply


class _Slot:
    """One taken slot, given back once."""

    def __init__(self, slots: Share) -> None:
        self._slots: Share | None = slots

    def free(self) -> None:
        if self._slots is not None:
            self._slots.release()
            self._slots = None
