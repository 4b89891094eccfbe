"""Each transaction's legs are its recipe's: accounts, owners, signs, amounts recomputed (M2, M9)."""

from collections.abc import Iterator, Mapping, Sequence

from gateway.core.accounts import BY_CODE, CHART, RECEIVABLE, Owner
from gateway.core.recipes import RECIPES
from gateway.core.rows import Payment, Posting, Voucher
from gateway.ops.audit.dossier import Booked, Dossier, Rules, owner_of

_AVAILABLE = CHART["available"].code
_FEE = CHART["fee_income"].code
_SUCCESS = frozenset({"R05", "R06", "R08", "R09"})
_CANCEL = frozenset({"R10", "R12"})
_BACK = frozenset({CHART[name].code for name in ("available", "reserved")} | {RECEIVABLE})
Amounts = dict[str, int]


def judge(dossier: Dossier, rules: Rules) -> Iterator[str]:
    """Every transaction of one payment. One that does not sum to zero is `sum-zero`'s, and not judged again."""
    for booked in dossier.booked:
        if sum(leg.amount_fen for leg in booked.legs) == 0:
            name = f"{booked.transaction.txn_id} {booked.transaction.recipe}"
            for detail in _judge_one(booked, dossier, rules):
                yield f"{name}: {detail}"


def _judge_one(booked: Booked, dossier: Dossier, rules: Rules) -> Iterator[str]:
    recipe, payment = booked.transaction.recipe, dossier.payment
    own, swept = split(booked)
    yield from judge_sweep(own, swept)
    yield from _judge_names(booked, own)
    orders = {order.order_serial for order in dossier.orders}
    # A payment without orders is `state-against-orders`'s finding.
    if orders and booked.transaction.order_serial not in orders:
        yield f"it is for the order {booked.transaction.order_serial}, which is none of its payment's"
    for leg in booked.legs:
        owner = owner_of(leg.account, payment)
        if owner is None or leg.owner != owner:
            yield f"leg {leg.leg} on {leg.account} belongs to {leg.owner!r}, not to {owner!r}"
    found = totals(own)
    if len(found) != len(own) or 0 in found.values():
        yield "an account stands in two legs, or a leg is 0"
    if recipe in _CANCEL:
        expected = undone(dossier, keep_fee=recipe == "R12")
    elif recipe in RECIPES:
        letters = _letters(recipe, payment, found, rules)
        expected = None if letters is None else fill(recipe, letters)
    else:
        yield "no recipe of this house"
        return
    if expected is None and dossier.payment.paid_fen is not None and rules.amounts(dossier.payment) is None:
        return  # without its rule versions nothing can be recomputed: that is `prices`'s finding
    if expected is None:
        yield "what it should be cannot be told: no amount paid, or nothing to undo"
    elif found != expected:
        yield f"legs {show(found)}, its recipe gives {show(expected)}"


def split(booked: Booked) -> tuple[list[Posting], list[Posting]]:
    """A transaction's own legs, and those of a sweep inside it (R21)."""
    own = [leg for leg in booked.legs if leg.recipe != "R21"]
    return own, [leg for leg in booked.legs if leg.recipe == "R21"]


def judge_sweep(own: Sequence[Posting], swept: Sequence[Posting]) -> Iterator[str]:
    """A sweep takes from `available` what it gives to the receivable, at most the credit beside it."""
    if not swept:
        return
    found = totals(swept)
    amount = found.get(RECEIVABLE, 0)
    if len(swept) != 2 or amount <= 0 or found != {_AVAILABLE: -amount, RECEIVABLE: amount}:
        yield f"its sweep is {show(found)}"
    if amount > totals(own).get(_AVAILABLE, 0):
        yield f"it sweeps {amount} fen, more than it credits"


def _judge_names(booked: Booked, own: Sequence[Posting]) -> Iterator[str]:
    """Each leg says the recipe of its transaction, but for a sweep's."""
    names = {leg.recipe for leg in own} - {booked.transaction.recipe}
    if names:
        yield f"legs of {' and '.join(sorted(names))} in it"


def judge_lone(booked: Booked, vouchers: Sequence[Voucher]) -> Iterator[str]:
    """A transaction of no payment: a counter deposit (R13) with exactly one voucher of its station and amount."""
    if sum(leg.amount_fen for leg in booked.legs) != 0:
        return
    if booked.transaction.recipe != "R13":
        yield f"{booked.transaction.recipe} without a payment: no recipe of this house"
        return
    own, swept = split(booked)
    yield from judge_sweep(own, swept)
    yield from _judge_names(booked, own)
    if len(vouchers) != 1:
        yield f"{len(vouchers)} vouchers name this deposit"
        return
    (voucher,) = vouchers
    if totals(own) != fill("R13", {"D": voucher.amount_fen}) or len(own) != 2:
        yield f"legs {show(totals(own))}, the voucher says {voucher.amount_fen}"
    for leg in booked.legs:
        station = BY_CODE[leg.account].owner is Owner.STATION
        if leg.owner != (voucher.institution_code if station else ""):
            yield f"leg {leg.leg} belongs to {leg.owner!r}, the voucher to {voucher.institution_code}"


def totals(legs: Sequence[Posting]) -> Amounts:
    """Amounts by account code."""
    found: Amounts = {}
    for leg in legs:
        found[leg.account] = found.get(leg.account, 0) + leg.amount_fen
    return found


def fill(recipe: str, letters: Mapping[str, int]) -> Amounts:
    """What a recipe posts, by account code; legs of 0 fall away."""
    filled = {CHART[leg.account].code: leg.value(letters) for leg in RECIPES[recipe]}
    return {account: amount for account, amount in filled.items() if amount}


def _letters(recipe: str, payment: Payment, found: Amounts, rules: Rules) -> Amounts | None:
    whole = {"A": payment.amount_fen, "F": payment.fee_fen}
    if recipe in ("R01", "R02", "R03", "R07"):
        return whole
    if recipe in ("R17", "R41"):
        paid = payment.paid_fen
        return None if paid is None else {"T": paid, "d": paid}
    parts = rules.amounts(payment)
    if parts is None or recipe not in _SUCCESS:
        return None
    if recipe == "R06":
        return whole | parts
    booked = parts | {"A": parts["P"], "F": parts["H"]}
    if recipe == "R09":
        taken = -found.get(_AVAILABLE, 0)
        booked |= {"t": max(taken, 0), "r": parts["P"] + parts["H"] - max(taken, 0)}
    return booked


def undone(dossier: Dossier, *, keep_fee: bool) -> Amounts | None:
    """The counter-legs of what the payment's success posted, read from the book (M9)."""
    success = [booked for booked in dossier.booked if booked.transaction.recipe in _SUCCESS]
    if len(success) != 1:
        return None
    kept = _BACK | {_FEE} if keep_fee else _BACK
    back = {account: -amount for account, amount in totals(split(success[0])[0]).items() if account not in kept}
    return {_AVAILABLE: -sum(back.values())} | back


def show(amounts: Mapping[str, int]) -> str:
    """`2001 -10100 · 2002 +10100`."""
    return " · ".join(f"{account} {amount:+d}" for account, amount in sorted(amounts.items())) or "none"
