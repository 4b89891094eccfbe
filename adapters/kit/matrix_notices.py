"""The matrix, part three: result notices, alone and against every other answer in every order."""

from collections.abc import Iterator

from adapters.kit.faults import Kind
from adapters.kit.matrix_pay import one_need
from adapters.kit.scenario import (
    BEYOND_S,
    Advance,
    Age,
    Decide,
    Pause,
    Pay,
    Scenario,
    Settle,
    Spent,
    Trouble,
    expect,
    one_of,
    show,
)
from adapters.kit.stage import Code, Need, Op, Result, Who
from contracts.states import State

S = State
_PAID, _FAILED = one_of(S.SUCCESS), one_of(S.FAILED)
_NEED = one_need(Need.NOTICE)
_TOLD = expect(S.SUCCESS, patience_s=2)
_HELD_S = 1


def _notice(kind: Kind, times: int | None = 1, who: Who | None = None) -> Trouble:
    return Trouble(on=Op.NOTICE, kind=kind, times=times, who=who, delay_s=_HELD_S)


NOTICES: tuple[Scenario, ...] = (
    Scenario(
        name="notice",
        story="The notice alone tells that the payment succeeded.",
        needs=_NEED,
        steps=(Pay(Who.BY_HAND), Settle(), expect(S.SENT), Decide(Result.PAID), Settle(), _TOLD),
        end=_PAID,
    ),
    Scenario(
        name="notice-of-failure",
        story="The notice alone tells that the payment failed.",
        needs=_NEED,
        steps=(
            Pay(Who.BY_HAND),
            Settle(),
            Decide(Result.FAILED),
            Settle(),
            expect(S.FAILED, patience_s=2),
        ),
        end=_FAILED,
    ),
    Scenario(
        name="notice-duplicate",
        story="The same notice comes twice and counts once.",
        needs=_NEED,
        steps=(
            show(_notice(Kind.DUPLICATE_NOTICE)),
            Pay(Who.BY_HAND),
            Settle(),
            Decide(Result.PAID),
            Settle(),
            _TOLD,
            Settle(),
        ),
        end=_PAID,
    ),
    Scenario(
        name="notice-out-of-order",
        story="The notice of the second payment comes before that of the first.",
        needs=_NEED,
        steps=(
            show(_notice(Kind.OUT_OF_ORDER_NOTICE, who=Who.USUAL)),
            Pay(Who.USUAL),
            Settle(),
            Pay(Who.OTHER),
            Settle(),
            Advance(2),
            _TOLD,
        ),
        end=_PAID,
    ),
    Scenario(
        name="notice-lost",
        story="The notice is lost: the question tells.",
        needs=_NEED | one_need(Need.QUERY),
        steps=(show(_notice(Kind.NO_NOTICE)), Pay(), Settle(), expect(S.SENT), Advance(3), expect(S.SENT)),
        end=_PAID,
    ),
    Scenario(
        name="notice-before-reply",
        story="The notice comes before the reply to pay; the acceptance that follows changes nothing.",
        needs=_NEED,
        steps=(show(_notice(Kind.NOTICE_BEFORE_REPLY)), Pay(Who.BY_HAND), Settle(), expect(S.SUCCESS)),
        end=_PAID,
    ),
    Scenario(
        name="notice-slow",
        story="The notice is on its way while the question is answered.",
        needs=_NEED | one_need(Need.QUERY),
        steps=(
            show(_notice(Kind.SLOW)),
            Pay(Who.BY_HAND),
            Settle(),
            Decide(Result.PAID),
            Advance(Age.ASK),
            expect(S.SUCCESS),
            Pause(_HELD_S + 1),
            Settle(),
        ),
        end=_PAID,
    ),
)
"""Notices that say what is so."""

_BAD_NOTICES: tuple[tuple[Kind, str], ...] = (
    (Kind.BAD_SIGNATURE, "is not authentic"),
    (Kind.GARBAGE, "cannot be read"),
    (Kind.WRONG_AMOUNT, "contradicts itself"),
    (Kind.WRONG_SERIAL, "names an order that is not ours"),
)


def _bad_notices() -> Iterator[Scenario]:
    for kind, words in _BAD_NOTICES:
        yield Scenario(
            name=f"notice-{kind}",
            story=f"A notice that {words} decides nothing; the next evidence does.",
            needs=_NEED | one_need(Need.QUERY),
            steps=(
                show(_notice(kind)),
                Pay(Who.BY_HAND),
                Settle(),
                Decide(Result.PAID),
                Settle(),
                Settle(),
                expect(S.SENT),
            ),
            end=_PAID,
        )
    yield Scenario(
        name="notice-failure-bad-signature",
        story="Paid, the answer lost; a notice of another payment's failure, not authentic, decides nothing.",
        needs=_NEED | one_need(Need.QUERY),
        steps=(
            show(_notice(Kind.BAD_SIGNATURE)),
            Pay(Who.BY_HAND),
            Settle(),
            Decide(Result.FAILED),
            Settle(),
            Settle(),
            expect(S.SENT),
        ),
        end=_FAILED,
    )


BAD_NOTICES: tuple[Scenario, ...] = tuple(_bad_notices())
"""Notices that must not be believed."""


def _pay(kind: Kind, delay_s: float = 0, code: Code | None = None) -> Trouble:
    return Trouble(on=Op.PAY, kind=kind, delay_s=delay_s, code=code)


_ANSWERS: tuple[tuple[str, Trouble, State, str | None], ...] = (
    # name, what comes instead of the acceptance, the state it leads to alone, the break it opens on a paid payment
    ("cut", _pay(Kind.PAID_THEN_CUT), S.UNKNOWN, None),
    ("reset", _pay(Kind.PAID_THEN_RESET), S.UNKNOWN, None),
    ("silent", _pay(Kind.PAID_THEN_SILENT, BEYOND_S), S.UNKNOWN, None),
    ("late", _pay(Kind.PAID_THEN_LATE, BEYOND_S), S.UNKNOWN, None),
    ("http-500", _pay(Kind.HTTP_500_PAID), S.UNKNOWN, None),
    ("garbage", _pay(Kind.GARBAGE), S.UNKNOWN, None),
    ("bad-signature", _pay(Kind.BAD_SIGNATURE), S.UNKNOWN, None),
    ("unmapped-code", _pay(Kind.UNMAPPED_CODE), S.UNKNOWN, None),
    ("wrong-amount", _pay(Kind.WRONG_AMOUNT), S.UNKNOWN, None),
    ("wrong-serial", _pay(Kind.WRONG_SERIAL), S.UNKNOWN, None),
    ("busy", _pay(Kind.BUSY_PAID), S.UNKNOWN, None),
    ("declined", _pay(Kind.UNMAPPED_CODE, code=Code.DECLINED), S.FAILED, "STATUS_DIFF_OVER"),
    ("not-sent", _pay(Kind.UNMAPPED_CODE, code=Code.NOT_SENT), S.RESERVED, None),
)
"""Every other answer to a payment that is booked all the same. The last two are lies, which a notice must expose."""


def _against_answers() -> Iterator[Scenario]:
    for name, trouble, alone, broken in _ANSWERS:
        yield Scenario(
            name=f"success-then-{name}",
            story=f"The SUCCESS notice comes first, then the answer to pay: {name}. The payment stays paid.",
            needs=_NEED,
            steps=(
                show(_notice(Kind.NOTICE_BEFORE_REPLY), trouble),
                Pay(Who.BY_HAND),
                Settle(),
                expect(S.SUCCESS),
            ),
            end=_PAID,
            breaks=frozenset({broken} if broken else ()),
        )
        yield Scenario(
            name=f"{name}-then-success",
            story=f"The answer to pay comes first: {name}. Then the SUCCESS notice: the payment is paid.",
            needs=_NEED,
            steps=(
                show(trouble),
                Pay(Who.BY_HAND),
                Settle(),
                expect(alone),
                Decide(Result.PAID),
                Settle(),
                _TOLD,
            ),
            end=_PAID,
        )


def _against_questions() -> Iterator[Scenario]:
    answers = (
        ("absent", Trouble(on=Op.QUERY, kind=Kind.ABSENT, times=2)),
        ("http-500", Trouble(on=Op.QUERY, kind=Kind.HTTP_500_UNPAID, times=2)),
        ("wrong-amount", Trouble(on=Op.QUERY, kind=Kind.WRONG_AMOUNT, times=2)),
        ("unmapped-code", Trouble(on=Op.QUERY, kind=Kind.UNMAPPED_CODE, times=2)),
    )
    for name, trouble in answers:
        yield Scenario(
            name=f"question-{name}-then-success",
            story=f"In doubt, the question's answer is {name}; then the SUCCESS notice decides.",
            needs=_NEED | one_need(Need.QUERY),
            steps=(
                show(_pay(Kind.PAID_THEN_CUT), trouble),
                Pay(Who.BY_HAND),
                Settle(),
                Spent(),
                expect(S.UNKNOWN),
                Decide(Result.PAID),
                Settle(),
                _TOLD,
                Advance(600),
            ),
            end=_PAID,
        )
    yield Scenario(
        name="absent-final-then-success",
        story="Not found is believed at its age, although the biller had it all along; the SUCCESS notice corrects.",
        needs=_NEED | one_need(Need.QUERY),
        steps=(
            show(_pay(Kind.PAID_THEN_CUT), Trouble(on=Op.QUERY, kind=Kind.ABSENT, times=None)),
            Pay(Who.BY_HAND),
            Settle(),
            Advance(Age.ABSENT_FINAL),
            expect(S.FAILED),
            Decide(Result.PAID),
            Settle(),
            _TOLD,
        ),
        end=_PAID,
    )


AGAINST: tuple[Scenario, ...] = (*_against_answers(), *_against_questions())
"""A SUCCESS notice against each other answer, in both orders."""
