"""Money: days, windows, balances, transactions and their postings."""

from typing import ClassVar

from gateway.core.rows.base import Row


class Day(Row, frozen=True, kw_only=True):
    """A day of the bureau (M10). `state`: OPEN, CLOSED."""

    TABLE: ClassVar[str] = "days"
    KEY: ClassVar[tuple[str, ...]] = ("account_date",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("state", "closed_at")
    account_date: str
    state: str = "OPEN"
    opened_at: int
    closed_at: int | None = None


class Window(Row, frozen=True, kw_only=True):
    """A biller's settlement window: OPEN, CLOSED, MATCHING, BALANCED, WITH_BREAKS, SETTLED."""

    TABLE: ClassVar[str] = "windows"
    KEY: ClassVar[tuple[str, ...]] = ("biller", "settle_date")
    MUTABLE: ClassVar[tuple[str, ...]] = ("state",)
    biller: str
    settle_date: str
    state: str = "OPEN"
    opened_at: int


class Balance(Row, frozen=True, kw_only=True):
    """A station's running balances. receivable_fen is the open amount (≥ 0) of account 1201; version: its last seq."""

    TABLE: ClassVar[str] = "station_balances"
    KEY: ClassVar[tuple[str, ...]] = ("institution_code",)
    MUTABLE: ClassVar[tuple[str, ...]] = ("available_fen", "reserved_fen", "receivable_fen", "version")
    GUARD: ClassVar[tuple[str, ...]] = ("version",)
    institution_code: str
    available_fen: int = 0
    reserved_fen: int = 0
    receivable_fen: int = 0
    version: int = 0


class Transaction(Row, frozen=True, kw_only=True):
    """One balanced set of postings, by a named recipe, for a named cause."""

    TABLE: ClassVar[str] = "transactions"
    KEY: ClassVar[tuple[str, ...]] = ("txn_id",)
    txn_id: str
    recipe: str
    gateway_serial: str | None
    order_serial: str | None
    posting_date: str
    account_date: str | None
    settle_date: str | None
    cause: str
    cause_id: str
    created_at: int


class Posting(Row, frozen=True, kw_only=True):
    """One leg: plus is credit, minus is debit.

    recipe: usually the transaction's; R21 for the legs of a sweep inside it. balance_after and seq only on the two
    accounts with a running balance: seq counts the station's legs, so that its statement is a chain.
    """

    TABLE: ClassVar[str] = "postings"
    KEY: ClassVar[tuple[str, ...]] = ("txn_id", "leg")
    txn_id: str
    leg: int
    recipe: str
    account: str
    owner: str
    amount_fen: int
    balance_after: int | None = None
    seq: int | None = None


class ArchiveTotal(Row, frozen=True, kw_only=True):
    """What the archive holds of one month (of account dates) on one account and owner: the balance carried forward."""

    TABLE: ClassVar[str] = "archive_totals"
    KEY: ClassVar[tuple[str, ...]] = ("month", "account", "owner")
    MUTABLE: ClassVar[tuple[str, ...]] = ("amount_fen", "legs")
    month: str
    account: str
    owner: str
    amount_fen: int
    legs: int


class Voucher(Row, frozen=True, kw_only=True):
    """A counter deposit's voucher (ACC-02, ACC-03): its number is good once."""

    TABLE: ClassVar[str] = "vouchers"
    KEY: ClassVar[tuple[str, ...]] = ("voucher_number",)
    voucher_number: str
    institution_code: str
    amount_fen: int
    outlet: str
    taken_by: str
    txn_id: str
    created_at: int
