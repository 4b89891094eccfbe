"""Moving an order and its payment together, with what that posts and tells (design s3, worked example s2, s4)."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from contracts.outcomes import Reason
from contracts.serials import Serials
from contracts.states import FINAL, HOLDING, OPEN, Event, OrderKind, OrderState, State
from gateway.core import messages
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.ledger import Cause, Legs, legs_of, negated, post
from gateway.core.prices import commission, fee_on_partial
from gateway.core.rows import Alarm, Balance, Break, CommissionPlan, Order, Payment, Posting, Tariff, Transaction
from gateway.core.states import Standing, follow

RULING = "ruling"
"""Source of the evidence that a ruling by two people is."""
IN_DOUBT = frozenset({State.UNKNOWN, State.REVERSING, State.CANCELLING})
LADDER_S: tuple[int, ...] = (5, 10, 45, 60, 120, 300, 600, 1800, 3600)
"""Seconds until the next question, by how many were asked: at 5 s, 15 s, 60 s, 2 min, 4 min … of doubt; the last step
repeats. No clock ever decides (M5)."""


def next_question_ms(asks: int, facts_min_s: int) -> int:
    """How long to wait before question number `asks` (from 0), never below the biller's own minimum."""
    return max(LADDER_S[min(asks, len(LADDER_S) - 1)], facts_min_s) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the evidence says besides the event itself."""

    source: str
    cause_id: str
    biller_serial: str | None = None
    paid_fen: int | None = None
    biller_date: str | None = None
    resp_code: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Mover:
    """Applies decided moves to the book of one commit."""

    book: Book
    env: Env
    now: int
    day: str
    serials: Serials
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, biller: str, digits: int) -> str:
        """The next serial of a partner's day; its numbers must have been drawn for this commit."""
        number = self.numbers[biller]
        self.numbers[biller] = number + 1
        return f"{self.day.replace('-', '')}{number:0{digits - 8}d}"

    def order(self, order: Order, **changes: object) -> Order:
        """The order becomes this; its version grows once per call."""
        changed = replace(order, version=order.version + 1, **changes)
        self.book.put(changed)
        return changed

    def end_order(self, order: Order, state: OrderState, facts: Facts) -> Order:
        """An order reaches DONE, REFUSED or VOID, or is corrected to DONE."""
        return self.order(
            order,
            state=state,
            ask_at=None,
            next_try_at=None,
            result_due_at=None,
            ended_at=self.now,
            biller_serial=facts.biller_serial or order.biller_serial,
            resp_code=facts.resp_code or order.resp_code,
            reason=facts.reason or order.reason,
            ruling=facts.cause_id if facts.source == RULING else order.ruling,
        )

    def payment(self, payment: Payment, event: Event, facts: Facts, order: Order) -> Payment:
        """Let the payment follow its orders; post what the move costs, and tell whoever waits."""
        was = State(payment.state)
        to = self.state_of(payment)
        changes: dict[str, object] = {"state": to, "version": payment.version + 1}
        if to in IN_DOUBT:
            changes["in_doubt_since"] = payment.in_doubt_since or self.now
        else:
            changes["in_doubt_since"] = None
        if to in FINAL and to is not was:
            changes["final_at"] = self.now
        if to not in FINAL:
            changes["final_at"] = None
        if facts.biller_serial and order.kind in (OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND):
            changes["biller_serial"] = facts.biller_serial
        if event is Event.PAID:
            changes |= {"paid_fen": facts.paid_fen, "biller_date": facts.biller_date, "reason": None}
        elif to is State.FAILED:
            changes["reason"] = facts.reason or order.reason
        if facts.resp_code:
            changes["resp_code"] = facts.resp_code
        if to is not was or facts.source == RULING:
            changes["ruling"] = facts.cause_id if facts.source == RULING else None
        if to in OPEN and was not in OPEN:
            # A payment that opens again may meet a later one of the same account and amount: the index that holds
            # M7 at acceptance must not refuse evidence, or a cancel.
            changes["confirmed_repeat"] = True
        moved = replace(payment, **changes)
        self.book.put(moved)
        self._post(was, to, moved, facts, order)
        if to is not was:
            self.book.add(messages.result(order, moved, self.serials.mint(), self.now, self.env))
        return moved

    def state_of(self, payment: Payment) -> State:
        """The state the payment's orders give."""
        orders = [o for o in self.book.all(Order) if o.gateway_serial == payment.gateway_serial]
        standing = [Standing(o.kind, o.order_serial, o.state) for o in orders]
        card = payment.kind == OrderKind.PAY and self.env.facts_of(payment.service).card_meter
        return follow(standing, card_meter=card)

    def _post(self, was: State, to: State, payment: Payment, facts: Facts, order: Order) -> None:
        found = None if to is was else self._recipe(was, to, payment)
        if found is None:
            return
        recipe, legs = found
        cause = Cause(
            cause=facts.source,
            cause_id=facts.cause_id,
            posting_date=self.day,
            now=self.now,
            payment=payment,
            order_serial=order.order_serial,
        )
        station = payment.institution_code
        post(self.book, self.serials.mint(), recipe, legs, cause, station=station, biller=payment.biller)

    def _recipe(self, was: State, to: State, payment: Payment) -> tuple[str, Legs] | None:
        if payment.kind != OrderKind.PAY:
            return self._recipe_unheld(was, to, payment)
        whole = {"A": payment.amount_fen, "F": payment.fee_fen}
        if was in HOLDING and to is State.FAILED:
            clocked = payment.reason in (Reason.EXPIRED_UNSENT, Reason.GIVEN_UP)
            recipe = "R02" if clocked else "R03"
            return recipe, legs_of(recipe, whole)
        if to is State.REVERSED:
            return "R07", legs_of("R07", whole)
        if to is State.CANCELLED:
            tariff = self.book.need(Tariff, payment.tariff_version, payment.service)
            legs = negated(self._posted(payment), keep_fee=not tariff.fee_returns_on_cancel)
            return legs[0][0], legs
        if to in (State.SUCCESS, State.PAID_WAIT_WRITE):
            if was in HOLDING:
                return self._success(payment)
            if was is State.FAILED:
                return self._correction(payment)
        return None

    def _recipe_unheld(self, was: State, to: State, payment: Payment) -> tuple[str, Legs] | None:
        """Top-ups and refunds hold nothing; only success posts."""
        if to is not State.SUCCESS or was is State.SUCCESS or payment.paid_fen is None:
            return None
        if payment.kind == OrderKind.DEBIT:
            return "R17", legs_of("R17", {"T": payment.paid_fen})
        return "R41", legs_of("R41", {"d": payment.paid_fen})

    def _success(self, payment: Payment) -> tuple[str, Legs]:
        amounts = self._amounts(payment)
        if payment.paid_fen == payment.amount_fen:
            return "R05", legs_of("R05", amounts)
        partial = amounts | {
            "P": amounts["A"],
            "H": amounts["F"],
            "A": payment.amount_fen,
            "F": payment.fee_fen,
        }
        return "R06", legs_of("R06", partial)

    def _correction(self, payment: Payment) -> tuple[str, Legs]:
        """FAILED, then proven paid: evidence takes what is available and leaves the rest as a receivable (M2)."""
        amounts = self._amounts(payment)
        need = amounts["A"] + amounts["F"]
        available = max(self.book.need(Balance, payment.institution_code).available_fen, 0)
        if available >= need:
            return "R08", legs_of("R08", amounts)
        return "R09", legs_of("R09", amounts | {"t": available, "r": need - available})

    def _amounts(self, payment: Payment) -> dict[str, int]:
        """A, F, K, S, Q on what was paid, by the rule versions stored at reservation (M9)."""
        paid = payment.paid_fen
        if paid is None:
            raise ArithmeticError(f"{payment.gateway_serial} succeeds without an amount")
        plan = self.book.need(CommissionPlan, payment.commission_version, payment.service)
        parts = commission(paid, plan)
        fee = fee_on_partial(payment.fee_fen, payment.amount_fen, paid)
        return {"A": paid, "F": fee, "K": parts.biller, "S": parts.station, "Q": parts.post}

    def _posted(self, payment: Payment) -> list[Posting]:
        own = {t.txn_id for t in self.book.all(Transaction) if t.gateway_serial == payment.gateway_serial}
        return [posting for posting in self.book.all(Posting) if posting.txn_id in own]

    def break_(
        self,
        payment: Payment,
        code: str,
        detail: str,
        evidence_id: str | None,
        amount_fen: int,
        *,
        ruling: str | None = None,
    ) -> None:
        """Open a break with an alarm, unless one of this kind is open for the payment. ruling: what it contradicts."""
        for known in self.book.all(Break):
            if (known.gateway_serial, known.code, known.state) == (payment.gateway_serial, code, "OPEN"):
                return
        self.book.add(
            Break(
                break_id=self.serials.mint(),
                code=code,
                biller=payment.biller,
                gateway_serial=payment.gateway_serial,
                evidence_id=evidence_id,
                amount_fen=amount_fen,
                detail=detail,
                opened_at=self.now,
                ruling=ruling,
            )
        )
        self.alarm(f"break.{code.lower()}" if ruling is None else "ruling.contradicted", payment, detail)

    def alarm(self, kind: str, payment: Payment | None, detail: str, biller: str | None = None) -> None:
        """Something a person must look at."""
        self.book.add(
            Alarm(
                alarm_id=self.serials.mint(),
                kind=kind,
                biller=payment.biller if payment else biller,
                gateway_serial=payment.gateway_serial if payment else None,
                detail=detail,
                raised_at=self.now,
            )
        )
