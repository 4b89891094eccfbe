"""What a scenario's payment must have become, to the fen and to the state; every difference is named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts.states import HOLDING, OrderKind, State
from gateway.core.prices import fee_on_partial
from gateway.demo.biller import Line
from gateway.demo.book import AVAILABLE, PAYABLE, RESERVED, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """states: whole, in order. evidence: where the proof came from. paid_fen: by our book. tries: what each sending of
    the payment came to. charged_fen: by the biller's book, None where it has no record of the order at all."""

    states: Sequence[str]
    evidence: str | None
    paid_fen: int | None
    tries: Sequence[str | None]
    charged_fen: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Money:
    """What a payment did to the station's prepaid account, by the rules and not by the ledger, in fen."""

    spent: int
    held: int


def money_of(trace: Trace) -> Money:
    """Held while nobody knows; spent where it was paid, with the fee in proportion; else nothing."""
    state, whole = State(trace.state), trace.amount_fen + trace.fee_fen
    if state in HOLDING:
        return Money(0, whole)
    if state in (State.SUCCESS, State.CANCELLING) and trace.paid_fen is not None:
        return Money(trace.paid_fen + fee_on_partial(trace.fee_fen, trace.amount_fen, trace.paid_fen), 0)
    return Money(0, 0)


def differences(trace: Trace, expect: Expect, lines: Sequence[Line]) -> Iterator[str]:
    """Everything that is not as it must be. lines: the biller's whole book."""
    pairs = (
        ("states", trace.states, tuple(expect.states)),
        ("state", trace.state, expect.states[-1]),
        ("evidence", trace.evidence, expect.evidence),
        ("paid_fen", trace.paid_fen, expect.paid_fen),
        ("sendings", trace.outcomes(OrderKind.PAY), tuple(expect.tries)),
        ("reason", trace.reason, expect.reason),
    )
    for name, found, wanted in pairs:
        if found != wanted:
            yield f"{name}: {_text(found)}, must be {_text(wanted)}"
    yield from _ledger(trace)
    yield from _their_side(trace, expect, lines)


def _ledger(trace: Trace) -> Iterator[str]:
    money = money_of(trace)
    state = State(trace.state)
    payable = trace.paid_fen if state in (State.SUCCESS, State.CANCELLING) else 0
    wanted = {AVAILABLE: -money.spent - money.held, RESERVED: money.held, PAYABLE: payable or 0}
    for account, fen in wanted.items():
        found = trace.moved.get(account, 0)
        if found != fen:
            yield f"account {account} moved by {found} fen, must be {fen}"


def _their_side(trace: Trace, expect: Expect, lines: Sequence[Line]) -> Iterator[str]:
    """The biller knows the order once or not at all, and was called as often as our book says at most."""
    number = trace.order(OrderKind.PAY).partner_serial
    own = [line for line in lines if line.order_no == number]
    if expect.charged_fen is None:
        if own:
            yield f"the biller has {len(own)} records of {number}, must be none"
        return
    if len(own) != 1:
        yield f"the biller has {len(own)} records of {number}, must be one"
    charged = sum(line.charged_fen for line in own)
    if charged != expect.charged_fen:
        yield f"the biller charges {charged} fen for {number}, must be {expect.charged_fen}"


def _text(value: object) -> str:
    return " ".join(str(part) for part in value) or "none" if isinstance(value, tuple) else str(value)
