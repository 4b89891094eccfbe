"""A payment's state is what its orders give, and its postings are what its state requires."""

from collections.abc import Iterator, Mapping

from contracts.outcomes import Reason
from contracts.states import FINAL, HOLDING, OrderKind, State
from gateway.core.accounts import CHART
from gateway.core.rows import Payment
from gateway.core.states import Standing, follow
from gateway.ops.audit.dossier import Dossier, Rules
from gateway.ops.audit.legs import Amounts, show, totals

_BOOKED = frozenset({State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED, State.CANCELLING})
IN_DOUBT = frozenset({State.UNKNOWN, State.REVERSING, State.CANCELLING})
_RELEASED = (("R01", "R02"), ("R01", "R03"))
_PAID = (("R01", "R05"), ("R01", "R06"))
_CORRECTED = tuple((*released, late) for released in _RELEASED for late in ("R08", "R09"))
_CLOCKED = frozenset({Reason.EXPIRED_UNSENT, Reason.GIVEN_UP})


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """The state follows from the orders; what goes with the state stands beside it."""
    payment = dossier.payment
    primary = dossier.primary()
    if primary is None or primary.kind != payment.kind:
        yield f"a {payment.kind} without an order of that kind"
        return
    if sum(order.kind == payment.kind for order in dossier.orders) != 1:
        yield "two orders pay it"
    standing = [Standing(order.kind, order.order_serial, order.state) for order in dossier.orders]
    state = follow(standing, card_meter=rules.is_card(dossier))
    if state != payment.state:
        orders = ", ".join(f"{order.kind} {order.state}" for order in dossier.orders)
        yield f"state is {payment.state}, its orders ({orders}) give {state}"
    yield from _beside(payment)


def _beside(payment: Payment) -> Iterator[str]:
    state = State(payment.state)
    if (payment.final_at is not None) != (state in FINAL):
        yield f"final_at does not say that {state} is {'final' if state in FINAL else 'not final'}"
    if (payment.in_doubt_since is not None) != (state in IN_DOUBT):
        yield f"in_doubt_since does not go with {state}"
    if state in _BOOKED and payment.paid_fen is None:
        yield f"{state} without paid_fen"
    if payment.paid_fen is not None and not 0 < payment.paid_fen <= payment.amount_fen:
        yield f"paid_fen is {payment.paid_fen} of {payment.amount_fen}"


def judge_postings(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """The recipes posted are those the state's history needs, and the net effect on every account is the state's."""
    payment = dossier.payment
    posted = tuple(sorted(booked.transaction.recipe for booked in dossier.booked))
    allowed = [tuple(sorted(recipes)) for recipes in histories(payment)]
    if posted not in allowed:
        yield f"{payment.state} has posted {' '.join(posted) or 'nothing'}"
        return
    expected = net(payment, rules, keeps_fee="R12" in posted)
    if expected is None:
        if payment.paid_fen is None:
            yield "its net effect cannot be told: no amount paid"
        return  # without its rule versions: `prices`'s finding
    found = _net_posted(dossier)
    if found != expected:
        yield f"net effect {show(found)}, {payment.state} requires {show(expected)}"
    tariff = rules.tariffs.get((payment.tariff_version, payment.service))
    if payment.state == State.CANCELLED and tariff and tariff.fee_returns_on_cancel == ("R12" in posted):
        yield "its fee went the other way than its tariff says"


def histories(payment: Payment) -> tuple[tuple[str, ...], ...]:
    """Every set of recipes that leads to the payment's state."""
    state = State(payment.state)
    if payment.kind == OrderKind.DEBIT:
        return (("R17",),) if state is State.SUCCESS else ((),)
    if payment.kind == OrderKind.REFUND:
        return (("R41",),) if state is State.SUCCESS else ((),)
    if state in HOLDING:
        return (("R01",),)
    if state is State.FAILED:
        return (_RELEASED[0],) if payment.reason in _CLOCKED else (_RELEASED[1],)
    if state is State.REVERSED:
        return (("R01", "R07"),)
    booked = _PAID + _CORRECTED
    if state is State.CANCELLED:
        return tuple((*recipes, back) for recipes in booked for back in ("R10", "R12"))
    return booked if state in _BOOKED else ()


def net(payment: Payment, rules: Rules, *, keeps_fee: bool) -> Amounts | None:
    """What a payment in this state has done to each account; `station` is available and receivable together.

    Told from the state alone, without the recipes: the other half of a double check.
    """
    state = State(payment.state)
    effect: Mapping[str, int] = {}
    if payment.kind != OrderKind.PAY:
        if state is State.SUCCESS:
            paid = payment.paid_fen or 0
            other = "topup_in_transit" if payment.kind == OrderKind.DEBIT else "biller_payable"
            effect = {"station": paid, other: -paid}
    elif state in HOLDING:
        held = payment.amount_fen + payment.fee_fen
        effect = {"station": -held, "reserved": held}
    elif state in _BOOKED or state is State.CANCELLED:
        parts = rules.amounts(payment)
        if parts is None:
            return None
        if state is State.CANCELLED:
            effect = {"station": -parts["H"], "fee_income": parts["H"]} if keeps_fee else {}
        else:
            effect = {
                "station": -parts["P"] - parts["H"],
                "biller_payable": parts["P"],
                "fee_income": parts["H"],
                "commission_receivable": -parts["K"],
                "commission_accrued": parts["S"],
                "commission_income": parts["Q"],
            }
    return {CHART[name].code if name in CHART else name: amount for name, amount in effect.items() if amount}


def _net_posted(dossier: Dossier) -> Amounts:
    found: Amounts = {}
    for booked in dossier.booked:
        for account, amount in totals(booked.legs).items():
            name = "station" if account in (CHART["available"].code, CHART["station_receivable"].code) else account
            found[name] = found.get(name, 0) + amount
    return {account: amount for account, amount in found.items() if amount}
