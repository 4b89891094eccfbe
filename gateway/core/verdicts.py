"""What replaying a dead message would do to money: judged before anything runs, and again at the moment it does."""

from enum import StrEnum

import msgspec

from contracts.states import FINAL, OrderKind, OrderState, State

LOOP_MAX = 3
"""After so many replays of one message that did something, the next is refused: what does not help is not repeated."""


class Verdict(StrEnum):
    """See SENTENCES for what each says to people."""

    SEND_AGAIN = "SEND_AGAIN"
    ASK_ONLY = "ASK_ONLY"
    ALREADY_FINAL = "ALREADY_FINAL"
    STALE = "STALE"
    TOMBSTONED = "TOMBSTONED"
    MALFORMED = "MALFORMED"
    WOULD_REPEAT = "WOULD_REPEAT"
    LOOPED = "LOOPED"
    NOT_OURS = "NOT_OURS"


ACTS = frozenset({Verdict.SEND_AGAIN, Verdict.ASK_ONLY})
"""Only these do anything at all."""

SENTENCES: dict[Verdict, tuple[str, str]] = {
    Verdict.SEND_AGAIN: ("从未发出，可用原流水号再发。", "Never left us: may be sent, under the same serial."),
    Verdict.ASK_ONLY: ("结果存疑，只可查询，不可付款。", "In doubt: may only be asked about, never paid."),
    Verdict.ALREADY_FINAL: ("已有结果，重放不起作用。", "Final already: a replay would do nothing."),
    Verdict.STALE: ("已过时限或尚待批准，不可重放。", "Too old, or held for a second person: must not run."),
    Verdict.TOMBSTONED: (
        "终端已得到“未受理”的答复，不可重放。",
        "The terminal was told it is not there: must not run.",
    ),
    Verdict.MALFORMED: (
        "无法读取需更正，已隔离需放行。",
        "Unreadable: needs a corrected copy. Or put apart: a release.",
    ),
    Verdict.WOULD_REPEAT: (
        "同户号同金额另有一笔，会重复付款。",
        "Another payment of this account and amount: would pay twice.",
    ),
    Verdict.LOOPED: ("已多次重放，停止；须两人放行。", "Replayed too often: stopped, two people may release it."),
    Verdict.NOT_OURS: ("账簿中无此订单，不可重放。", "The book has no such order: must not run."),
}
"""Chinese and English, for staff."""

_MEANT = {
    OrderKind.REVERSE: frozenset({State.REVERSING}),
    OrderKind.CANCEL: frozenset({State.CANCELLING}),
    OrderKind.WRITE_CONFIRM: frozenset({State.PAID_WAIT_WRITE, State.WRITE_FAILED}),
}
"""Where a payment stands while an order of this kind, which pays nothing, waits to be sent. Of all others: RESERVED."""


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The order as the book has it, and its payment.

    unproven: attempts that are not proven unsent. key_is_ours: the payment's idempotency key still stands for it; else
    a terminal was told that there is no such payment, or may have been (M3). twin: another payment of the same biller,
    account and amount is open, or was paid on the same account date, and the operator did not confirm this one beside
    it (M7).
    """

    kind: OrderKind
    state: OrderState
    in_flight: bool
    unproven: int
    hold: bool
    voided: bool
    send_before: int
    payment_state: State
    key_is_ours: bool
    twin: bool


class LetterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """message: `order`, `bill-query`, None: not to be read. letter_state, runs: of the letter.

    order: None where the book has none by these serials; archived: its payment has left for the archive, final.
    """

    message: str | None
    letter_state: str
    runs: int
    now: int
    archived: bool = False
    order: OrderFacts | None = None


def judge_letter(facts: LetterFacts) -> Verdict:
    """Money first: SEND_AGAIN is what is left when everything else is ruled out.

    A bill query is never replayed: it is worthless after seconds, and the terminal asks anew.
    """
    if facts.letter_state == "CLOSED":
        return Verdict.ALREADY_FINAL
    if facts.letter_state == "QUARANTINED":
        return Verdict.LOOPED if facts.runs >= LOOP_MAX else Verdict.MALFORMED
    if facts.message is None:
        return Verdict.MALFORMED
    if facts.message != "order":
        return Verdict.STALE
    if facts.order is None:
        return Verdict.ALREADY_FINAL if facts.archived else Verdict.NOT_OURS
    found = _judge_order(facts.order, facts.now)
    return Verdict.LOOPED if found in ACTS and facts.runs >= LOOP_MAX else found


def _judge_order(order: OrderFacts, now: int) -> Verdict:
    if order.state in (OrderState.DONE, OrderState.REFUSED, OrderState.VOID) or order.voided:
        return Verdict.ALREADY_FINAL
    if order.state != OrderState.READY or order.in_flight or order.unproven:
        return Verdict.ASK_ONLY
    if order.payment_state not in _MEANT.get(order.kind, {State.RESERVED}):
        return Verdict.ALREADY_FINAL if order.payment_state in FINAL else Verdict.ASK_ONLY
    if not order.key_is_ours:
        return Verdict.TOMBSTONED
    if order.hold or now >= order.send_before:
        return Verdict.STALE
    if order.twin and order.kind not in _MEANT:
        return Verdict.WOULD_REPEAT
    return Verdict.SEND_AGAIN
