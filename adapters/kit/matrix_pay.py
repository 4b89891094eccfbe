"""The matrix, part one: what can become of the call that pays, and of the questions about it afterwards."""

from collections.abc import Iterator

from adapters.kit.faults import Kind
from adapters.kit.scenario import (
    ASKED_S,
    BEYOND_S,
    HELD_S,
    WITHIN_S,
    Advance,
    Age,
    Booked,
    Decide,
    Pause,
    Pay,
    Scenario,
    Settle,
    Spent,
    Step,
    Trouble,
    expect,
    one_of,
    show,
)
from adapters.kit.stage import Code, Need, Op, Result, Who
from contracts.states import State

S = State
_PAID = one_of(S.SUCCESS)
_FAILED = one_of(S.FAILED)
_UNTOLD = Trouble(on=Op.NOTICE, kind=Kind.NO_NOTICE, times=None, only=Need.NOTICE)
"""Keeps notices out of scenarios that are about other evidence."""


def _doubted(name: str, story: str, trouble: Trouble, end: frozenset[State], *more: Step) -> Scenario:
    """A pay call whose answer proves nothing: in doubt right after, resolved by evidence."""
    return Scenario(
        name=name,
        story=story,
        needs=one_need(Need.QUERY),
        steps=(show(trouble, _UNTOLD), Pay(), Settle(), expect(S.UNKNOWN), *more),
        end=end,
    )


def one_need(*needs: Need) -> frozenset[Need]:
    """A set of needs, short to write."""
    return frozenset(needs)


def _pay(kind: Kind, delay_s: float = 0, code: Code | None = None) -> Trouble:
    return Trouble(on=Op.PAY, kind=kind, delay_s=delay_s, code=code)


PLAIN: tuple[Scenario, ...] = (
    Scenario(
        name="paid",
        story="Nothing goes wrong.",
        needs=one_need(Need.AT_ONCE),
        steps=(Pay(), Settle(), expect(S.SUCCESS)),
        end=_PAID,
    ),
    Scenario(
        name="accepted-then-paid",
        story="The biller accepts, and tells or answers later that it paid.",
        needs=one_need(Need.LATER),
        steps=(Pay(who=Who.BY_HAND), Settle(), expect(S.SENT), Decide(Result.PAID), Advance(Age.ASK)),
        end=_PAID,
    ),
    Scenario(
        name="accepted-then-failed",
        story="The biller accepts, and fails later.",
        needs=one_need(Need.LATER),
        steps=(Pay(who=Who.BY_HAND), Settle(), expect(S.SENT), Decide(Result.FAILED), Advance(Age.ASK)),
        end=_FAILED,
    ),
    Scenario(
        name="accepted-then-overdue",
        story="The biller accepts and has no result when it should: in doubt, until it has one after all.",
        needs=one_need(Need.LATER, Need.QUERY),
        steps=(
            Pay(who=Who.BY_HAND),
            Settle(),
            Advance(Age.ASK),
            expect(S.SENT),
            Advance(Age.RESULT_DUE),
            expect(S.UNKNOWN),
            Decide(Result.PAID),
        ),
        end=_PAID,
        settling_s=7200,
    ),
    Scenario(
        name="declined",
        story="The biller refuses, and its document proves that nothing was booked.",
        steps=(show(_pay(Kind.DECLINE, code=Code.DECLINED)), Pay(), Settle(), expect(S.FAILED)),
        end=_FAILED,
    ),
    Scenario(
        name="refused-connection",
        story="The biller's port is closed: no byte left, so the payment goes again when it opens.",
        steps=(
            Pay(),
            show(_pay(Kind.REFUSE_CONNECTION, delay_s=WITHIN_S)),
            Settle(),
            expect(S.RESERVED),
            Pause(2 * WITHIN_S),
        ),
        end=_PAID,
    ),
    Scenario(
        name="maintenance",
        story="Refused before any business: proven unsent, sent again later, one effect.",
        steps=(show(_pay(Kind.MAINTENANCE)), Pay(), Settle(), expect(S.RESERVED)),
        end=_PAID,
    ),
    Scenario(
        name="maintenance-twice",
        story="The same two times in a row.",
        steps=(
            show(Trouble(on=Op.PAY, kind=Kind.MAINTENANCE, times=2)),
            Pay(),
            Settle(),
            expect(S.RESERVED),
            Advance(61),
        ),
        end=_PAID | _FAILED,
    ),
    Scenario(
        name="slow",
        story="The answer takes a while, and comes.",
        steps=(show(_pay(Kind.SLOW, WITHIN_S)), Pay(), Settle(), expect(S.SUCCESS, or_later=(S.SENT,))),
        end=_PAID,
    ),
    Scenario(
        name="new-member",
        story="The answer holds a member that the document does not know.",
        steps=(show(_pay(Kind.EXTRA_MEMBER)), Pay(), Settle(), expect(S.SUCCESS, or_later=(S.SENT,))),
        end=_PAID,
    ),
    Scenario(
        name="partial",
        story="The biller books a part: that much is paid, the rest is released.",
        needs=one_need(Need.PARTIAL),
        steps=(show(_pay(Kind.PARTIAL)), Pay(), Settle()),
        end=_PAID,
    ),
)
"""Answers that prove something."""

DOUBTED: tuple[Scenario, ...] = (
    _doubted("cut-unpaid", "Closed without an answer, nothing done.", _pay(Kind.CUT_BEFORE), _FAILED),
    _doubted("silent-unpaid", "No answer, nothing done.", _pay(Kind.UNPAID_SILENT, BEYOND_S), _FAILED),
    _doubted("http-500-unpaid", "HTTP 500, nothing done.", _pay(Kind.HTTP_500_UNPAID), _FAILED),
    _doubted("busy-unpaid", "Busy, and nothing done.", _pay(Kind.BUSY_UNPAID), _FAILED),
    _doubted("paid-then-cut", "Done, then closed without an answer.", _pay(Kind.PAID_THEN_CUT), _PAID),
    _doubted("paid-then-reset", "Done, then a real RST.", _pay(Kind.PAID_THEN_RESET), _PAID),
    _doubted("paid-then-silent", "Done, and no answer.", _pay(Kind.PAID_THEN_SILENT, BEYOND_S), _PAID),
    _doubted("paid-then-late", "Done, the answer after our patience.", _pay(Kind.PAID_THEN_LATE, BEYOND_S), _PAID),
    _doubted("slow-beyond", "Taken in, done only after our patience.", _pay(Kind.SLOW, BEYOND_S), _PAID, Booked()),
    _doubted("http-500-paid", "Done, HTTP 500.", _pay(Kind.HTTP_500_PAID), _PAID),
    _doubted("busy-paid", "Busy, yet done.", _pay(Kind.BUSY_PAID), _PAID),
    _doubted("garbage", "Done, the answer cannot be read.", _pay(Kind.GARBAGE), _PAID),
    _doubted("bad-signature", "Done, the answer is not authentic.", _pay(Kind.BAD_SIGNATURE), _PAID),
    _doubted("unmapped-code", "Done, a code outside the document.", _pay(Kind.UNMAPPED_CODE), _PAID),
    _doubted("wrong-amount", "Done, the answer names another amount.", _pay(Kind.WRONG_AMOUNT), _PAID),
    _doubted("wrong-serial", "Done, the answer names another order.", _pay(Kind.WRONG_SERIAL), _PAID),
)
"""Answers that prove nothing: not proven unsent is unknown (M4)."""


def _lost_then(*steps: Step, answers: tuple[Trouble, ...] = ()) -> tuple[Step, ...]:
    """Booked, the answer lost, no notice: only questions can tell. `answers`: troubles of those questions."""
    lost = show(_pay(Kind.PAID_THEN_CUT), _UNTOLD, *answers)
    return lost, Pay(), Settle(), expect(S.UNKNOWN), *steps


_BAD_ANSWERS: tuple[tuple[Kind, str], ...] = (
    (Kind.CUT_BEFORE, "is cut off"),
    (Kind.PAID_THEN_RESET, "is reset"),
    (Kind.HTTP_500_UNPAID, "meets HTTP 500"),
    (Kind.GARBAGE, "has an unreadable answer"),
    (Kind.BAD_SIGNATURE, "has an answer that is not authentic"),
    (Kind.UNMAPPED_CODE, "has a code outside the document"),
    (Kind.BUSY_UNPAID, "meets busy"),
    (Kind.MAINTENANCE, "meets maintenance"),
    (Kind.WRONG_AMOUNT, "has an answer about another amount"),
    (Kind.WRONG_SERIAL, "has an answer about another order"),
)


def _questions() -> Iterator[Scenario]:
    for kind, words in _BAD_ANSWERS:
        trouble = Trouble(on=Op.QUERY, kind=kind)
        yield Scenario(
            name=f"question-{kind}",
            story=f"The first question about a lost answer {words}: no evidence; the next one tells.",
            needs=one_need(Need.QUERY),
            steps=_lost_then(Spent(), expect(S.UNKNOWN), answers=(trouble,)),
            end=_PAID,
        )


QUESTIONS: tuple[Scenario, ...] = (
    *_questions(),
    Scenario(
        name="question-silent",
        story="The first question has no answer at all: no evidence; the next one tells.",
        needs=one_need(Need.QUERY),
        steps=_lost_then(
            Spent(),
            expect(S.UNKNOWN),
            answers=(Trouble(on=Op.QUERY, kind=Kind.UNPAID_SILENT, delay_s=BEYOND_S),),
        ),
        end=_PAID,
    ),
    Scenario(
        name="absent-too-early",
        story="Booked, but not yet to be found: not found is not believed before its age.",
        needs=one_need(Need.QUERY),
        steps=_lost_then(Spent(), expect(S.UNKNOWN), answers=(Trouble(on=Op.QUERY, kind=Kind.ABSENT),)),
        end=_PAID,
    ),
    Scenario(
        name="absent-too-late",
        story="Booked, and asked about when the biller has forgotten: not found is believed no more.",
        needs=one_need(Need.QUERY, Need.FORGETS),
        steps=_lost_then(Advance(Age.ABSENT_VOID), expect(S.UNKNOWN), Advance(7200), expect(S.UNKNOWN)),
        end=one_of(S.UNKNOWN),
        silent=True,
        settling_s=0,
    ),
    Scenario(
        name="absent-in-time",
        story="Never arrived: not found is believed at its age, and not before.",
        needs=one_need(Need.QUERY),
        steps=(
            show(_pay(Kind.CUT_BEFORE)),
            Pay(),
            Settle(),
            Advance(ASKED_S),
            expect(S.UNKNOWN),
            Advance(Age.ABSENT_FINAL),
            expect(S.FAILED),
        ),
        end=_FAILED,
    ),
    Scenario(
        name="late-arrival",
        story="Still on its way when not found is answered; then it arrives and is booked.",
        needs=one_need(Need.QUERY, Need.BELATED),
        steps=(
            show(_pay(Kind.LATE_ARRIVAL, HELD_S), _UNTOLD),
            Pay(),
            Settle(),
            Advance(ASKED_S),
            expect(S.UNKNOWN),
            Booked(),
        ),
        end=_PAID,
    ),
    Scenario(
        name="arrival-past-its-time",
        story="Still on its way when not found is believed: what arrives then must be refused by the biller.",
        needs=one_need(Need.QUERY),
        steps=(
            show(_pay(Kind.LATE_ARRIVAL, HELD_S), _UNTOLD),
            Pay(),
            Settle(),
            Advance(Age.ABSENT_FINAL),
            expect(S.FAILED),
            Pause(HELD_S),
        ),
        end=_FAILED,
    ),
)
"""Questions about a payment in doubt: only an authentic, matching answer of the right age is evidence."""
