"""Posting recipes are the text of the worked example s2; every one sums to zero; random histories stay whole (M2)."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.accounts import BY_CODE, CHART, Owner
from gateway.core.ledger import legs_of
from gateway.core.prices import commission, fee_on_partial
from gateway.core.recipes import RECIPES
from gateway.core.rows import CommissionPlan

# Copied from the worked example, s2.1 to s2.4.
TEXT = {
    "R01": "available -(A+F) · reserved +(A+F)",
    "R02": "reserved -(A+F) · available +(A+F)",
    "R03": "reserved -(A+F) · available +(A+F)",
    "R05": "reserved -(A+F) · biller_payable +A · fee_income +F · commission_receivable -K · commission_accrued +S"
    " · commission_income +Q",
    "R06": "reserved -(A+F) · biller_payable +P · fee_income +H · available +(A-P+F-H) · commission_receivable -K"
    " · commission_accrued +S · commission_income +Q",
    "R07": "reserved -(A+F) · available +(A+F)",
    "R08": "available -(A+F) · biller_payable +A · fee_income +F · commission_receivable -K · commission_accrued +S"
    " · commission_income +Q",
    "R09": "available -t · station_receivable -r · biller_payable +A · fee_income +F · commission_receivable -K"
    " · commission_accrued +S · commission_income +Q",
    "R10": "available +(A+F) · biller_payable -A · fee_income -F · commission_receivable +K · commission_accrued -S"
    " · commission_income -Q",
    "R12": "available +A · biller_payable -A · commission_receivable +K · commission_accrued -S · commission_income -Q",
    "R13": "available +D · counter_cash -D",
    "R17": "available +T · topup_in_transit -T",
    "R21": "available -w · station_receivable +w",
    "R41": "available +d · biller_payable -d",
}
CHART_TEXT = """
1001 bank_clearing - none
1002 counter_cash - none
1003 topup_in_transit - biller
1101 commission_receivable - biller
1201 station_receivable - station
1301 suspense_out - biller
2001 available + station
2002 reserved + station
2101 biller_payable + biller
2201 commission_accrued + station
2301 tax_payable + none
2401 payout_in_transit + station
2501 deposits_held + station
2601 suspense_in + biller
4001 fee_income + none
4101 commission_income + none
5001 write_off - none
5101 subsidy - none
"""


def read(text: str) -> dict[str, dict[str, int]]:
    """account → letter → sign, by a reader of its own."""
    legs: dict[str, dict[str, int]] = {}
    for leg in text.split(" · "):
        account, rest = leg.split(" ", 1)
        sign = -1 if rest[0] == "-" else 1
        inner = rest[1:].strip("()")
        terms = re.findall(r"([+-]?)([A-Za-z])", inner)
        legs[account] = {letter: sign * (-1 if each == "-" else 1) for each, letter in terms}
    return legs


def test_recipes_are_the_text() -> None:
    ours = {name: {leg.account: dict(leg.terms) for leg in legs} for name, legs in RECIPES.items()}
    assert ours == {name: read(text) for name, text in TEXT.items()}


def test_the_chart_is_the_text() -> None:
    rows = [line.split() for line in CHART_TEXT.strip().splitlines()]
    assert [(code, name, sign, owner) for code, name, sign, owner in rows] == [
        (a.code, a.name, "+" if a.normal > 0 else "-", a.owner.value) for a in CHART.values()
    ]
    assert set(BY_CODE) == {row[0] for row in rows}
    assert CHART["available"].owner is Owner.STATION


money = st.integers(min_value=1, max_value=5_000_000)


@given(amount=money, fee=st.integers(0, 500), rate=st.integers(0, 100_000), paid=money, taken=st.integers(0, 10**7))
def test_m2_every_recipe_sums_to_zero(amount: int, fee: int, rate: int, paid: int, taken: int) -> None:
    paid = min(paid, amount)
    parts = commission(paid, plan(rate))
    need = amount + fee
    letters = {"A": amount, "F": fee, "P": paid, "H": fee_on_partial(fee, amount, paid)}
    letters |= {"K": parts.biller, "S": parts.station, "Q": parts.post}
    letters |= {"t": min(need, taken), "r": need - min(need, taken), "T": amount, "D": amount, "w": fee, "d": paid}
    for name in RECIPES:
        legs = legs_of(name, letters)
        assert sum(value for _, _, value in legs) == 0, name
        assert all(value for _, _, value in legs)


def plan(rate_ppm: int, tenths: int = 7) -> CommissionPlan:
    return CommissionPlan(
        version="CP", service="s", effective_from="2026-01-01", rate_ppm=rate_ppm, station_tenths=tenths
    )


def test_m2_random_histories_keep_every_balance_whole() -> None:
    """s2.6 over the recipes this house posts: in doubt, partial, corrections, cancels, sweeps, deposits."""
    used: set[str] = set()
    for seed in range(30):
        chance, history = random.Random(seed), History()
        for _ in range(400):
            history.step(chance)
            history.check()
        used |= history.used
    assert used == set(RECIPES) - {"R17", "R41"}


class History:
    """One station, one biller: balances by account, and the payments that hold or have booked something."""

    def __init__(self) -> None:
        self.balance = dict.fromkeys(CHART, 0)
        self.held: list[dict[str, int]] = []
        self.failed: list[dict[str, int]] = []
        self.booked: list[dict[str, int]] = []
        self.owed_biller = 0
        self.used: set[str] = set()

    def post(self, recipe: str, letters: dict[str, int]) -> None:
        credit = 0
        for _, account, value in legs_of(recipe, letters):
            self.balance[account] += value
            credit += value if account == "available" else 0
        self.used.add(recipe)
        swept = min(credit, -self.balance["station_receivable"])
        if swept > 0:
            self.post("R21", {"w": swept})

    def step(self, chance: random.Random) -> None:
        move = chance.choice(
            [self.deposit, self.accept, self.accept, self.end, self.end, self.correct, self.correct, self.cancel]
        )
        move(chance)

    def deposit(self, chance: random.Random) -> None:
        self.post("R13", {"D": chance.randint(1, 4_000)})

    def accept(self, chance: random.Random) -> None:
        amount, fee = chance.randint(100, 6_000), chance.choice([0, 100, 200])
        if self.balance["available"] >= amount + fee and not self.balance["station_receivable"]:
            letters = self.letters(amount, fee, amount)
            self.post("R01", letters)
            self.held.append(letters)

    def letters(self, amount: int, fee: int, paid: int) -> dict[str, int]:
        parts = commission(paid, plan(15_000))
        return {
            "A": amount,
            "F": fee,
            "P": paid,
            "H": fee_on_partial(fee, amount, paid),
            "K": parts.biller,
            "S": parts.station,
            "Q": parts.post,
        }

    def end(self, chance: random.Random) -> None:
        if not self.held:
            return
        one = self.held.pop(chance.randrange(len(self.held)))
        recipe = chance.choice(["R02", "R03", "R03", "R05", "R05", "R06", "R07"])
        if recipe == "R06":
            one = self.letters(one["A"], one["F"], chance.randint(1, one["A"]))
        self.post(recipe, one)
        if recipe in ("R05", "R06"):
            self.book(one)
        elif recipe != "R07":
            self.failed.append(one)

    def book(self, one: dict[str, int]) -> None:
        self.booked.append(one)
        self.owed_biller += one["P"]

    def correct(self, chance: random.Random) -> None:
        if not self.failed:
            return
        one = self.failed.pop(chance.randrange(len(self.failed)))
        need, available = one["A"] + one["F"], max(self.balance["available"], 0)
        if available >= need:
            self.post("R08", one)
        else:
            self.post("R09", one | {"t": available, "r": need - available})
        self.book(one)

    def cancel(self, chance: random.Random) -> None:
        if not self.booked:
            return
        one = self.booked.pop(chance.randrange(len(self.booked)))
        undone = one | {"A": one["P"], "F": one["H"]}
        self.post(chance.choice(["R10", "R10", "R12"]), undone)
        self.owed_biller -= one["P"]

    def check(self) -> None:
        assert sum(self.balance.values()) == 0
        assert self.balance["available"] >= 0
        assert self.balance["reserved"] == sum(one["A"] + one["F"] for one in self.held)
        assert self.balance["station_receivable"] <= 0
        assert not (self.balance["station_receivable"] and self.balance["available"])
        assert self.balance["biller_payable"] == self.owed_biller
