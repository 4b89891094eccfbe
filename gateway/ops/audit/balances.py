"""Stations: running balances against the postings they stand for, leg by leg (M2)."""

# ruff: noqa: S608 - names of our own tables and states

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.states import HOLDING
from gateway.core.accounts import AVAILABLE, RECEIVABLE, RESERVED
from gateway.core.rows import Balance
from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Findings
from gateway.ops.audit.streams import all_rows, is_in, records
from gateway.store.port import Snapshot

_LEGS = (
    "SELECT owner, seq, account, amount_fen, balance_after, txn_id FROM postings"
    " WHERE account IN ('2001', '2002') ORDER BY owner, seq"
)
_HELD = (
    "SELECT institution_code, CAST(SUM(amount_fen + fee_fen) AS BIGINT) FROM payments"
    f" WHERE kind = 'PAY' AND {is_in('state', HOLDING)} GROUP BY institution_code"
)
_OWED = "SELECT owner, CAST(-SUM(amount_fen) AS BIGINT) FROM postings WHERE account = '1201' GROUP BY owner"
_CARRIED = "SELECT owner, account, CAST(SUM(amount_fen) AS BIGINT), CAST(SUM(legs) AS BIGINT) FROM archive_totals"
_CARRIED += " WHERE account IN ('1201', '2001', '2002') GROUP BY owner, account"
_LIMITS = "SELECT institution_code, overdraft_limit_fen FROM stations"


Carried = dict[tuple[str, str], tuple[int, int]]


@dataclass(slots=True)
class Walk:
    """One station's legs, walked in the order of their seq. away: legs in the archive that no gap has shown yet."""

    owner: str
    seq: int = 0
    away: int = 0
    after: dict[str, int | None] = field(default_factory=lambda: {AVAILABLE: 0, RESERVED: 0})
    lowest: int = 0
    sums: dict[str, int] = field(default_factory=lambda: {AVAILABLE: 0, RESERVED: 0})

    def step(self, seq: int | None, account: str, amount: int, after: int | None) -> Iterator[str]:
        """Take one leg; what is wrong with it."""
        self.sums[account] += amount
        missing = (seq or 0) - self.seq - 1
        if 0 < missing <= self.away:
            # They went to the archive: what the balances were after them is theirs to say.
            self.away -= missing
            self.after = {AVAILABLE: None, RESERVED: None}
        elif missing:
            yield f"leg {seq} follows leg {self.seq}"
        before = self.after[account]
        expected = after if before is None else before + amount
        if after is None or after != expected:
            yield f"balance_after of {account} is {after}, {before} and {amount} make {expected}"
        self.seq = seq or self.seq
        self.after[account] = expected if after is None else after
        if account == AVAILABLE:
            self.lowest = min(self.lowest, self.after[account] or 0)


def judge_end(walk: Walk, balance: Balance | None) -> Iterator[str]:
    """Whether the running balance row says what the postings sum to."""
    if balance is None:
        yield "it has postings and no balance"
        return
    for name, account in (("available_fen", AVAILABLE), ("reserved_fen", RESERVED)):
        if getattr(balance, name) != walk.sums[account]:
            yield f"{name} is {getattr(balance, name)}, its postings sum to {walk.sums[account]}"


def judge_receivable(balance: Balance, owed: int) -> Iterator[str]:
    """The open receivable is the negated account 1201, and nothing is owed while money is available."""
    if balance.receivable_fen != owed:
        yield f"receivable_fen is {balance.receivable_fen}, account 1201 says {owed}"
    if balance.receivable_fen and balance.available_fen > 0:
        yield f"{balance.receivable_fen} fen are owed while {balance.available_fen} fen are available"


async def check(snapshot: Snapshot, about: About) -> Sequence[Checked]:
    """statement, running-balance, available, reserved-open, receivable."""
    balances = {row.institution_code: row for row in await all_rows(snapshot, Balance)}
    statement, running, available = Findings("statement"), Findings("running-balance"), Findings("available")
    limits = {code: limit async for code, limit in records(snapshot, _LIMITS)}
    carried = {} if about.full else await _carried(snapshot)
    walks = await _walk(snapshot, statement, carried)
    for code in sorted(set(balances) | set(walks)):
        walk = walks.get(code) or _walk_of(code, carried)
        balance = balances.get(code)
        running.take(code, judge_end(walk, balance))
        if balance is not None and balance.version != walk.seq + walk.away:
            away = f" and {walk.away} are in the archive" if walk.away else ""
            statement.add(code, f"its last leg is {walk.seq}{away}, its balance is at {balance.version}")
        lowest, limit = min(walk.lowest, balance.available_fen if balance else 0), limits.get(code, 0)
        below = [f"available went down to {lowest} fen, the limit is {-limit}"] if lowest < -limit else []
        available.take(code, below)
    return [
        statement.checked(),
        running.checked(),
        available.checked(),
        await _reserved(snapshot, balances),
        await _receivable(snapshot, balances, carried),
    ]


async def _carried(snapshot: Snapshot) -> Carried:
    """Per owner and account, amount and number of the legs that are in the archive."""
    return {(owner, account): (amount, legs) async for owner, account, amount, legs in records(snapshot, _CARRIED)}


def _walk_of(owner: str, carried: Carried) -> Walk:
    walk = Walk(owner)
    for account in (AVAILABLE, RESERVED):
        amount, legs = carried.get((owner, account), (0, 0))
        walk.sums[account] += amount
        walk.away += legs
    return walk


async def _walk(snapshot: Snapshot, statement: Findings, carried: Carried) -> dict[str, Walk]:
    walks: dict[str, Walk] = {}
    async for owner, seq, account, amount, after, txn_id in records(snapshot, _LEGS):
        walk = walks.get(owner) or walks.setdefault(owner, _walk_of(owner, carried))
        statement.take(f"{owner} {txn_id}", walk.step(seq, account, amount, after))
    return walks


async def _reserved(snapshot: Snapshot, balances: Mapping[str, Balance]) -> Checked:
    found = Findings("reserved-open")
    held = {code: amount async for code, amount in records(snapshot, _HELD)}
    for code, balance in balances.items():
        wrong = balance.reserved_fen != held.get(code, 0)
        detail = f"reserved_fen is {balance.reserved_fen}, its open payments hold {held.get(code, 0)}"
        found.take(code, [detail] if wrong else [])
    for code in sorted(held.keys() - balances.keys()):
        found.add(code, "it has open payments and no balance")
    return found.checked()


async def _receivable(snapshot: Snapshot, balances: Mapping[str, Balance], carried: Carried) -> Checked:
    found = Findings("receivable")
    owed = {code: amount async for code, amount in records(snapshot, _OWED)}
    for (owner, account), (amount, _) in carried.items():
        if account == RECEIVABLE:
            owed[owner] = owed.get(owner, 0) - amount
    for code, balance in balances.items():
        found.take(code, judge_receivable(balance, owed.get(code, 0)))
    for code in sorted(owed.keys() - balances.keys()):
        found.add(code, "account 1201 has legs of a station without a balance")
    return found.checked()
