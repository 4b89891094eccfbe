"""The matrix, part two: reversals (ours, of a payment in doubt) and cancels (a person's, of a paid one)."""

from collections.abc import Iterator

from adapters.kit.faults import Kind
from adapters.kit.matrix_pay import one_need
from adapters.kit.scenario import (
    BEYOND_S,
    HELD_S,
    WITHIN_S,
    Advance,
    Age,
    Begin,
    Booked,
    Cancel,
    End,
    Pause,
    Pay,
    Reverse,
    Scenario,
    Settle,
    Spent,
    Step,
    Trouble,
    Undo,
    expect,
    one_of,
    show,
)
from adapters.kit.stage import Need, Op, Who
from contracts.states import State

S = State
_PAID, _FAILED = one_of(S.SUCCESS), one_of(S.FAILED)
_REVERSED, _CANCELLED = one_of(S.REVERSED), one_of(S.CANCELLED)
_UNTOLD = Trouble(on=Op.NOTICE, kind=Kind.NO_NOTICE, times=None, only=Need.NOTICE)
_LOST_ACKS: tuple[tuple[Kind, int, str], ...] = (
    (Kind.PAID_THEN_CUT, 0, "is closed"),
    (Kind.PAID_THEN_RESET, 0, "is reset"),
    (Kind.PAID_THEN_SILENT, 1, "never comes"),
    (Kind.HTTP_500_PAID, 0, "is HTTP 500"),
    (Kind.GARBAGE, 0, "cannot be read"),
    (Kind.BAD_SIGNATURE, 0, "is not authentic"),
    (Kind.UNMAPPED_CODE, 0, "has a code outside the document"),
    (Kind.WRONG_AMOUNT, 0, "names another amount"),
    (Kind.WRONG_SERIAL, 0, "names another payment"),
    (Kind.BUSY_PAID, 0, "says busy"),
)
"""Answers to an undo that was done. The number says whether it outlasts our patience."""
_LOST_REQUESTS: tuple[tuple[Kind, int, str], ...] = (
    (Kind.CUT_BEFORE, 0, "is cut off on its way"),
    (Kind.HTTP_500_UNPAID, 0, "meets HTTP 500 and does nothing"),
    (Kind.BUSY_UNPAID, 0, "meets busy and does nothing"),
)


def _in_doubt(*troubles: Trouble, who: Who = Who.USUAL) -> tuple[Step, ...]:
    """Booked, the answer lost. `troubles`: of what follows."""
    lost = Trouble(on=Op.PAY, kind=Kind.PAID_THEN_CUT)
    return show(lost, _UNTOLD, *troubles), Pay(who), Settle(), expect(S.UNKNOWN)


def _on(operation: Op, kind: Kind, beyond: int = 0) -> Trouble:
    return Trouble(on=operation, kind=kind, delay_s=BEYOND_S if beyond else 0)


def _reversals() -> Iterator[Scenario]:
    for kind, beyond, words in (*_LOST_ACKS, *_LOST_REQUESTS):
        lost = (kind, beyond, words) in _LOST_REQUESTS
        yield Scenario(
            name=f"reversal-{kind}",
            story=f"{'The reversal' if lost else 'Reversed, the answer'} {words}: in doubt until it is proven.",
            needs=one_need(Need.REVERSE),
            steps=(*_in_doubt(_on(Op.REVERSE, kind, beyond)), Reverse(), Settle(), expect(S.REVERSING)),
            end=_REVERSED,
        )


REVERSALS: tuple[Scenario, ...] = (
    Scenario(
        name="reversal",
        story="The answer to pay is lost, the payment is reversed.",
        needs=one_need(Need.REVERSE),
        steps=(*_in_doubt(), Reverse(), Settle(), expect(S.REVERSED)),
        end=_REVERSED,
    ),
    *_reversals(),
    Scenario(
        name="reversal-refused",
        story="The reversal is refused with proof that the payment stays booked.",
        needs=one_need(Need.REVERSE),
        steps=(*_in_doubt(who=Who.FIXED), Reverse(), Settle(), expect(S.SUCCESS), Undo("REFUSED")),
        end=_PAID,
    ),
    Scenario(
        name="reversal-maintenance",
        story="The reversal is refused before any business: proven unsent, sent again, or given up once proven paid.",
        needs=one_need(Need.REVERSE),
        steps=(*_in_doubt(_on(Op.REVERSE, Kind.MAINTENANCE)), Reverse(), Settle(), expect(S.REVERSING)),
        end=_REVERSED | _PAID,
    ),
    Scenario(
        name="reversal-slow",
        story="The reversal takes a while.",
        needs=one_need(Need.REVERSE),
        steps=(
            *_in_doubt(Trouble(on=Op.REVERSE, kind=Kind.SLOW, delay_s=WITHIN_S)),
            Reverse(),
            Settle(),
            expect(S.REVERSED),
        ),
        end=_REVERSED,
    ),
    Scenario(
        name="reversal-absent-too-early",
        story="Booked, yet the reversal is answered not found: not believed before its age, repeated until done.",
        needs=one_need(Need.REVERSE),
        steps=(*_in_doubt(_on(Op.REVERSE, Kind.ABSENT)), Reverse(), Settle(), expect(S.REVERSING)),
        end=_REVERSED,
    ),
    Scenario(
        name="reversal-before-arrival",
        story="The payment is held on its way, its reversal comes first and finds nothing; then the payment arrives.",
        needs=one_need(Need.REVERSE),
        steps=(
            show(Trouble(on=Op.PAY, kind=Kind.LATE_ARRIVAL, delay_s=HELD_S)),
            Pay(),
            Settle(),
            expect(S.UNKNOWN),
            Reverse(),
            Settle(),
            expect(S.REVERSING),
            Booked(),
        ),
        end=_REVERSED,
    ),
    Scenario(
        name="reversal-overtaken",
        story="The reversal is lost twice; a question says meanwhile that the payment is booked; then it is reversed.",
        needs=one_need(Need.REVERSE, Need.QUERY),
        steps=(
            *_in_doubt(Trouble(on=Op.REVERSE, kind=Kind.HTTP_500_UNPAID, times=3)),
            Reverse(),
            Settle(),
            Spent(),
            expect(S.REVERSING),
        ),
        end=_REVERSED,
        # Proven booked before it was proven undone: no contradiction, but the state tables may ask people to look.
        may_break=frozenset({"STATUS_DIFF_SHORT"}),
    ),
    Scenario(
        name="reversal-of-nothing",
        story="The payment never arrived: the reversal's not found is believed at its age, and not before.",
        needs=one_need(Need.REVERSE),
        steps=(
            show(Trouble(on=Op.PAY, kind=Kind.CUT_BEFORE)),
            Pay(),
            Settle(),
            Reverse(),
            Settle(),
            expect(S.REVERSING),
            Advance(120),
            expect(S.REVERSING),
            Advance(Age.ABSENT_FINAL),
        ),
        end=_FAILED,
    ),
    Scenario(
        name="success-after-reversal",
        story="The answer to pay is held; overdue, the payment is reversed; then the answer comes: booked. A break.",
        needs=one_need(Need.REVERSE, Need.AT_ONCE),
        steps=(
            show(Trouble(on=Op.PAY, kind=Kind.PAID_THEN_LATE, delay_s=HELD_S)),
            Pay(),
            Begin(),
            Booked(),
            Advance(Age.OVERDUE, settle=False),
            expect(S.UNKNOWN, patience_s=2),
            Reverse(),
            expect(S.REVERSED, patience_s=2),
            End(),
            expect(S.REVERSED),
        ),
        end=_REVERSED,
        breaks=frozenset({"STATUS_DIFF_SHORT"}),
        patience_ms=8_000,
    ),
    Scenario(
        name="success-while-overdue",
        story="The answer to pay is held; overdue, the payment is in doubt; then the answer comes and decides.",
        needs=one_need(Need.AT_ONCE),
        steps=(
            show(
                Trouble(on=Op.PAY, kind=Kind.PAID_THEN_LATE, delay_s=BEYOND_S), Trouble(on=Op.QUERY, kind=Kind.ABSENT)
            ),
            Pay(),
            Begin(),
            Booked(),
            Advance(Age.OVERDUE, settle=False),
            expect(S.UNKNOWN, patience_s=1),
            End(),
            expect(S.SUCCESS),
        ),
        end=_PAID,
        patience_ms=8_000,
    ),
)
"""Reversals 冲正: automatic, of what is in doubt."""


def _paid(*troubles: Trouble, who: Who = Who.USUAL) -> tuple[Step, ...]:
    return show(*troubles), Pay(who), Settle(), expect(S.SUCCESS)


def _cancels() -> Iterator[Scenario]:
    for kind, beyond, words in (*_LOST_ACKS, *_LOST_REQUESTS):
        lost = (kind, beyond, words) in _LOST_REQUESTS
        yield Scenario(
            name=f"cancel-{kind}",
            story=f"{'The cancel' if lost else 'Cancelled, the answer'} {words}: in doubt until it is proven.",
            needs=one_need(Need.CANCEL, Need.AT_ONCE),
            steps=(*_paid(_on(Op.CANCEL, kind, beyond)), Cancel(), Settle(), expect(S.CANCELLING)),
            end=_CANCELLED,
        )


CANCELS: tuple[Scenario, ...] = (
    Scenario(
        name="cancel",
        story="A paid payment is taken back.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(), Cancel(), Settle(), expect(S.CANCELLED)),
        end=_CANCELLED,
    ),
    *_cancels(),
    Scenario(
        name="cancel-refused",
        story="The biller refuses the cancel: the payment stays paid.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(who=Who.FIXED), Cancel(), Settle(), expect(S.SUCCESS), Undo("REFUSED")),
        end=_PAID,
    ),
    Scenario(
        name="cancel-maintenance",
        story="The cancel is refused before any business: proven unsent, sent again.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(_on(Op.CANCEL, Kind.MAINTENANCE)), Cancel(), Settle(), expect(S.CANCELLING)),
        end=_CANCELLED,
    ),
    Scenario(
        name="cancel-absent-too-early",
        story="The cancel is answered not found although the payment is booked: not believed, repeated until done.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(_on(Op.CANCEL, Kind.ABSENT)), Cancel(), Settle(), expect(S.CANCELLING)),
        end=_CANCELLED,
    ),
    Scenario(
        name="cancel-unsent",
        story="A payment that has not left yet is given up: nobody is asked, nothing is booked.",
        steps=(Pay(), Cancel(), expect(S.FAILED), Settle(), Undo(None)),
        end=_FAILED,
    ),
    Scenario(
        name="cancel-between-tries",
        story="A payment that is proven unsent and waits for its next try is given up: it is not tried again.",
        steps=(
            show(Trouble(on=Op.PAY, kind=Kind.MAINTENANCE)),
            Pay(),
            Settle(),
            expect(S.RESERVED),
            Cancel(),
            expect(S.FAILED),
            Advance(70),
            Pause(WITHIN_S),
        ),
        end=_FAILED,
    ),
    Scenario(
        name="cancel-in-doubt",
        story="A payment in doubt cannot be cancelled.",
        steps=(*_in_doubt(), Cancel(granted=False), Undo(None)),
        needs=one_need(Need.QUERY),
        end=_PAID,
    ),
    Scenario(
        name="cancel-too-late",
        story="After the biller's accounting day a payment can be cancelled no more.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(), Advance(86_400), Cancel(granted=False), Undo(None)),
        end=_PAID,
    ),
    Scenario(
        name="cancel-twice",
        story="A cancelled payment cannot be cancelled again.",
        needs=one_need(Need.CANCEL, Need.AT_ONCE),
        steps=(*_paid(), Cancel(), Settle(), Cancel(granted=False)),
        end=_CANCELLED,
    ),
    Scenario(
        name="cancel-not-offered",
        story="The biller cannot cancel: the request is refused, the payment stays.",
        needs=one_need(Need.NO_CANCEL),
        steps=(Pay(), Settle(), Advance(Age.ASK), expect(S.SUCCESS, patience_s=2), Cancel(granted=False), Undo(None)),
        end=_PAID,
    ),
)
"""Cancels 撤销: a person's, of what is paid."""
