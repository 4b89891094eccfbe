"""How the test platform's numbers behave (telecom interface 3.4 s5.1, s12). Pure."""

from dataclasses import dataclass

from adapters.telecom.simulator.records import State

_NAMES = {"13800000001": "冯䶮", "13800000002": "欧阳𠮷", "13800000003": "王,小明"}
_ONLY_CARRIER_3 = "13800000003"
NO_ARREARS = "13800000004"
NOT_PAYABLE = "13800000005"
PAID_ONCE = "13800000006"
"""Its arrears are gone after the first payment."""

_PAY_REFUSALS = {"13800000008": "2010", "13800000012": "2016", "13800000013": "2030"}
_REVERSE_REFUSALS = {"13800000011": "2011", "13800000014": "2012"}
_TOP_UP_REFUSALS = {"13900000005": "2012", "13900000013": "2030"}

FACE_VALUES = dict.fromkeys("123", (1000, 2000, 3000, 5000, 10000, 20000, 30000, 50000)) | {"4": (3000, 5000, 10000)}
"""Top-up amounts on sale by ispCode, in fen (s5.4)."""

CARRIER_SILENT = {"13800000009": State.SUCCEEDED, "13800000010": State.FAILED}
"""Payments answered 9002, and how they end 20 s later."""
CARRIER_SILENT_S = 20


@dataclass(frozen=True, slots=True)
class Bill:
    """What a number owes: amounts in fen; `lines` as in billList."""

    cust_name: str
    balance: int
    total: int
    least: int
    most: int
    lines: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Fate:
    """How a top-up ends: after_s seconds after acceptance (None: only by hand), and whether its notice is sent."""

    state: State
    charged: int
    after_s: int | None
    notice: bool = True


def bill_of(isp_code: str, acc_no: str) -> Bill:
    """The bill of a number that is known and owes something: two periods, which paying does not lower."""
    last = "".join(char if "0" <= char <= "9" else "0" for char in acc_no[-4:])
    lines = (("202610", 1000 + int(last), 50), ("202611", 2500, 0))
    total = sum(amount + penalty for _, amount, penalty in lines)
    least, most = (total, total) if isp_code == "3" else (100, total + 50_000)
    balance = -1230 if acc_no == "13800000001" else 0
    return Bill(_NAMES.get(acc_no, "测试用户"), balance, total, least, most, lines)


def bill_refusal(isp_code: str, acc_no: str, paid_before: bool) -> str | None:
    """The code with which a number refuses both query and payment, None where it does not."""
    if acc_no.endswith("404") or (acc_no == _ONLY_CARRIER_3 and isp_code != "3"):
        return "2011"
    if acc_no == NOT_PAYABLE:
        return "2012"
    if acc_no == NO_ARREARS or (acc_no == PAID_ONCE and paid_before):
        return "2015"
    return None


def pay_refusal(acc_no: str) -> str | None:
    """The code with which a number that can be queried refuses to be paid."""
    return _PAY_REFUSALS.get(acc_no)


def reverse_refusal(acc_no: str) -> str | None:
    """The code with which a number refuses a reversal that would be in time."""
    return _REVERSE_REFUSALS.get(acc_no)


def top_up_refusal(acc_no: str) -> str | None:
    """The code with which a number refuses a top-up."""
    return "2011" if acc_no.endswith("404") else _TOP_UP_REFUSALS.get(acc_no)


def half(amount: int) -> int:
    """What a partial top-up charges, in fen: half, rounded down to 10.00; 10.00 in full (s12)."""
    return amount // 2 // 1000 * 1000 or amount


def fate_of(acc_no: str, amount: int) -> Fate:
    """How a top-up of a number that takes it ends. A partial that would be the whole is a success."""
    if acc_no == "13900000002":
        return Fate(State.FAILED, 0, 1)
    if acc_no == "13900000003":
        charged = half(amount)
        return Fate(State.SUCCEEDED if charged == amount else State.PARTIAL, charged, 1)
    after_s = {"13900000004": 30, "13900000006": 0, "13900000007": None}.get(acc_no, 1)
    return Fate(State.SUCCEEDED, amount, after_s, notice=not acc_no.endswith("0008"))
