"""The verdict about a dead message, over every combination of what it may look at (M3, M4, M6, M7).

What is asserted is stated here anew, by sets and not in the order of the judgement: money first.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from contracts.states import FINAL, OrderKind, OrderState, State
from gateway.core.verdicts import ACTS, LOOP_MAX, SENTENCES, LetterFacts, OrderFacts, Verdict, judge_letter

NOW = 1_795_492_800_000
AGES = (NOW - 1, NOW, NOW + 1)
ENDED = {OrderState.DONE, OrderState.REFUSED, OrderState.VOID}
IN_DOUBT = {OrderState.SENT, OrderState.UNKNOWN}
PAYS = {OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND, OrderKind.PAYOUT}
WAITS_IN = {
    OrderKind.PAY: {State.RESERVED},
    OrderKind.DEBIT: {State.RESERVED},
    OrderKind.REFUND: {State.RESERVED},
    OrderKind.PAYOUT: {State.RESERVED},
    OrderKind.REVERSE: {State.REVERSING},
    OrderKind.CANCEL: {State.CANCELLING},
    OrderKind.WRITE_CONFIRM: {State.PAID_WAIT_WRITE, State.WRITE_FAILED},
}
BOTH = (False, True)


def orders() -> Iterator[OrderFacts]:
    """7 kinds × 6 states × 12 payment states × 3 ages × 2^6 flags: 96,768."""
    for kind, state, payment, age in product(OrderKind, OrderState, [s for s in State if s != State.CREATED], AGES):
        for in_flight, unproven, hold, voided, key, twin in product(BOTH, repeat=6):
            yield OrderFacts(
                kind=kind,
                state=state,
                in_flight=in_flight,
                unproven=int(unproven),
                hold=hold,
                voided=voided,
                send_before=age,
                payment_state=payment,
                key_is_ours=key,
                twin=twin,
            )


def letters(order: OrderFacts | None, *, archived: bool = False) -> Iterator[LetterFacts]:
    for message, state, runs in product(
        ("order", "bill-query", None), ("OPEN", "QUARANTINED", "CLOSED"), (0, LOOP_MAX - 1, LOOP_MAX, LOOP_MAX + 1)
    ):
        yield LetterFacts(message=message, letter_state=state, runs=runs, now=NOW, archived=archived, order=order)


def might_be_sent(order: OrderFacts) -> bool:
    return order.state is OrderState.READY and not (order.in_flight or order.unproven or order.voided)


def must_hold(letter: LetterFacts, verdict: Verdict) -> None:
    """What must be true of a verdict, whatever led to it."""
    order = letter.order
    if verdict in ACTS:
        assert (letter.message, letter.letter_state) == ("order", "OPEN")
        assert letter.runs < LOOP_MAX
        assert order is not None
    if verdict is Verdict.SEND_AGAIN:
        assert order is not None
        assert order.state is OrderState.READY
        assert not order.in_flight
        assert order.unproven == 0
        assert not order.hold
        assert not order.voided
        assert order.send_before > letter.now
        assert order.key_is_ours
        assert order.payment_state in WAITS_IN[order.kind]
        assert not (order.twin and order.kind in PAYS)
    if verdict is Verdict.ASK_ONLY:
        assert order is not None
        assert order.state not in ENDED
    if verdict is Verdict.ALREADY_FINAL:
        settled = order is not None and (order.state in ENDED or order.voided or order.payment_state in FINAL)
        assert letter.letter_state == "CLOSED" or settled or letter.archived
    if verdict is Verdict.WOULD_REPEAT:
        assert order is not None
        assert order.twin
    if verdict is Verdict.TOMBSTONED:
        assert order is not None
        assert not order.key_is_ours
    if verdict is Verdict.NOT_OURS:
        assert order is None
    if verdict is Verdict.LOOPED:
        assert letter.runs >= LOOP_MAX
    if verdict is Verdict.MALFORMED:
        assert letter.message is None or letter.letter_state == "QUARANTINED"


def must_be(letter: LetterFacts) -> set[Verdict]:
    """Which verdicts are right for what stands there; more than one only where two reasons forbid it at once."""
    order = letter.order
    if letter.letter_state == "CLOSED":
        return {Verdict.ALREADY_FINAL}
    if letter.letter_state == "QUARANTINED":
        return {Verdict.LOOPED} if letter.runs >= LOOP_MAX else {Verdict.MALFORMED}
    if letter.message is None:
        return {Verdict.MALFORMED}
    if letter.message == "bill-query":
        return {Verdict.STALE}
    if order is None:
        return {Verdict.ALREADY_FINAL} if letter.archived else {Verdict.NOT_OURS}
    if order.state in ENDED or order.voided:
        return {Verdict.ALREADY_FINAL}
    looped = letter.runs >= LOOP_MAX
    if order.state in IN_DOUBT or order.in_flight or order.unproven:
        return {Verdict.LOOPED if looped else Verdict.ASK_ONLY}
    if order.payment_state not in WAITS_IN[order.kind]:
        if order.payment_state in FINAL:
            return {Verdict.ALREADY_FINAL}
        return {Verdict.LOOPED if looped else Verdict.ASK_ONLY}
    against = set()
    if not order.key_is_ours:
        against.add(Verdict.TOMBSTONED)
    if order.hold or order.send_before <= letter.now:
        against.add(Verdict.STALE)
    if order.twin and order.kind in PAYS:
        against.add(Verdict.WOULD_REPEAT)
    return against or {Verdict.LOOPED if looped else Verdict.SEND_AGAIN}


def test_every_combination_of_an_order() -> None:
    seen: Counter[Verdict] = Counter()
    for order in orders():
        for runs in (0, LOOP_MAX):
            letter = LetterFacts(message="order", letter_state="OPEN", runs=runs, now=NOW, order=order)
            verdict = judge_letter(letter)
            assert verdict in must_be(letter), letter
            must_hold(letter, verdict)
            seen[verdict] += 1
    assert sum(seen.values()) == 2 * 96_768
    assert set(seen) == set(Verdict) - {Verdict.MALFORMED, Verdict.NOT_OURS}


def test_every_combination_of_a_letter() -> None:
    """Each state of a letter, kind of message and number of runs: without an order, with each that might be sent, and
    with every 37th of the others."""
    seen: Counter[Verdict] = Counter()
    for number, order in enumerate([None, *orders()]):
        if order is not None and number % 37 and not might_be_sent(order):
            continue
        for archived in BOTH if order is None else (False,):
            for letter in letters(order, archived=archived):
                verdict = judge_letter(letter)
                assert verdict in must_be(letter), letter
                must_hold(letter, verdict)
                seen[verdict] += 1
    assert set(seen) == set(Verdict)


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_is_told_in_two_languages(verdict: Verdict) -> None:
    chinese, english = SENTENCES[verdict]
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese)
    assert english.isascii()
