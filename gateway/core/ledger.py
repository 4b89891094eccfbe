"""Double entry (M2): recipes become postings, station balances move with them."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.core.accounts import CHART, RECEIVABLE, Owner
from gateway.core.book import Book
from gateway.core.recipes import RECIPES
from gateway.core.rows import Balance, Payment, Posting, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a transaction is posted, and the dates and serials it carries."""

    cause: str
    cause_id: str
    posting_date: str
    now: int
    payment: Payment | None = None
    order_serial: str | None = None


Legs = list[tuple[str, str, int]]  # recipe, account name, signed amount


def legs_of(recipe: str, amounts: Mapping[str, int]) -> Legs:
    """The legs of a recipe with its letters filled in; legs of 0 fall away."""
    filled = [(recipe, leg.account, leg.value(amounts)) for leg in RECIPES[recipe]]
    return [leg for leg in filled if leg[2]]


def post(
    book: Book, txn_id: str, recipe: str, legs: Legs, cause: Cause, *, station: str, biller: str = ""
) -> Transaction:
    """Write one balanced transaction into the book, sweep an open receivable (R21), move the station's balances.

    The station's Balance row must have been read under its lock. Raises ArithmeticError if the legs do not sum to
    zero or would take `reserved` below zero.
    """
    if sum(amount for _, _, amount in legs):
        raise ArithmeticError(f"{recipe} does not sum to zero: {legs}")
    balance = book.need(Balance, station)
    legs = legs + _sweep(balance, legs)
    owners = {Owner.STATION: station, Owner.BILLER: biller, Owner.NONE: ""}
    for number, (leg_recipe, name, amount) in enumerate(legs, 1):
        account = CHART[name]
        balance, after, seq = _move(balance, name, amount)
        book.add(
            Posting(
                txn_id=txn_id,
                leg=number,
                recipe=leg_recipe,
                account=account.code,
                owner=owners[account.owner],
                amount_fen=amount,
                balance_after=after,
                seq=seq,
            )
        )
    if balance.reserved_fen < 0 or balance.receivable_fen < 0:
        raise ArithmeticError(f"{recipe} takes the station below zero: {balance}")
    book.put(balance)
    payment = cause.payment
    transaction = Transaction(
        txn_id=txn_id,
        recipe=recipe,
        gateway_serial=payment.gateway_serial if payment else None,
        order_serial=cause.order_serial,
        posting_date=cause.posting_date,
        account_date=payment.account_date if payment else None,
        settle_date=payment.settle_date if payment else None,
        cause=cause.cause,
        cause_id=cause.cause_id,
        created_at=cause.now,
    )
    book.add(transaction)
    return transaction


def _move(balance: Balance, name: str, amount: int) -> tuple[Balance, int | None, int | None]:
    if name == "available":
        seq, after = balance.version + 1, balance.available_fen + amount
        return replace(balance, available_fen=after, version=seq), after, seq
    if name == "reserved":
        seq, after = balance.version + 1, balance.reserved_fen + amount
        return replace(balance, reserved_fen=after, version=seq), after, seq
    if name == "station_receivable":
        return replace(balance, receivable_fen=balance.receivable_fen - amount), None, None
    return balance, None, None


def _sweep(balance: Balance, legs: Legs) -> Legs:
    """R21: every net credit of `available` first covers what the station owes."""
    credit = sum(amount for _, name, amount in legs if name == "available")
    swept = min(credit, balance.receivable_fen)
    return legs_of("R21", {"w": swept}) if swept > 0 else []


def negated(postings: list[Posting], *, keep_fee: bool = False) -> Legs:
    """Counter-legs of what a success posted (M9): the same accounts and amounts, against `available`.

    postings: the legs of the payment's success transaction (R05, R06, R08 or R09). The whole amount (and the fee,
    unless kept) is credited to `available`, whatever account had paid for it.
    """
    back = [leg for leg in postings if leg.recipe in ("R05", "R06", "R08", "R09")]
    kept = {CHART[name].code for name in ("available", "reserved")} | {RECEIVABLE}
    if keep_fee:
        kept.add(CHART["fee_income"].code)
    recipe = "R12" if keep_fee else "R10"
    names = {account.code: name for name, account in CHART.items()}
    undone: Legs = [(recipe, names[leg.account], -leg.amount_fen) for leg in back if leg.account not in kept]
    credit = -sum(amount for _, _, amount in undone)
    return [(recipe, "available", credit), *undone]
