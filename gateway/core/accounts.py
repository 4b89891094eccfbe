"""Chart of accounts (worked example s1). Plus is credit, minus is debit; codes are text and never reused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """The second half of an account's key: a station's institution code, a biller's name, or nothing ("")."""

    STATION = "station"
    BILLER = "biller"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the chart. `normal`: the sign its balance normally has."""

    code: str
    name: str
    title: str
    kind: str
    normal: int
    owner: Owner


_CHART = (
    Account("1001", "bank_clearing", "银行清算", "asset", -1, Owner.NONE),
    Account("1002", "counter_cash", "网点存款在途", "asset", -1, Owner.NONE),
    Account("1003", "topup_in_transit", "绿卡充值在途", "asset", -1, Owner.BILLER),
    Account("1101", "commission_receivable", "应收收费单位酬金", "asset", -1, Owner.BILLER),
    Account("1201", "station_receivable", "应收服务站款", "asset", -1, Owner.STATION),
    Account("1301", "suspense_out", "挂账·待查应收", "asset", -1, Owner.BILLER),
    Account("2001", "available", "预存款·可用", "liability", 1, Owner.STATION),
    Account("2002", "reserved", "预存款·冻结", "liability", 1, Owner.STATION),
    Account("2101", "biller_payable", "应付收费单位款", "liability", 1, Owner.BILLER),
    Account("2201", "commission_accrued", "应付服务站酬金", "liability", 1, Owner.STATION),
    Account("2301", "tax_payable", "应交代扣税", "liability", 1, Owner.NONE),
    Account("2401", "payout_in_transit", "酬金发放在途", "liability", 1, Owner.STATION),
    Account("2501", "deposits_held", "保证金/押金", "liability", 1, Owner.STATION),
    Account("2601", "suspense_in", "挂账·待查应付", "liability", 1, Owner.BILLER),
    Account("4001", "fee_income", "手续费收入", "income", 1, Owner.NONE),
    Account("4101", "commission_income", "酬金留存收入", "income", 1, Owner.NONE),
    Account("5001", "write_off", "核销损益", "expense", -1, Owner.NONE),
    Account("5101", "subsidy", "补贴支出", "expense", -1, Owner.NONE),
)

CHART: Mapping[str, Account] = {account.name: account for account in _CHART}
"""Accounts by name."""
BY_CODE: Mapping[str, Account] = {account.code: account for account in _CHART}
"""Accounts by code."""

AVAILABLE = CHART["available"].code
RESERVED = CHART["reserved"].code
RECEIVABLE = CHART["station_receivable"].code
