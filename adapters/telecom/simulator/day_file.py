"""The day file's bytes (telecom interface 3.4 s11). Pure."""

import hashlib
from collections.abc import Iterable, Sequence

from adapters.telecom.simulator.clock import stamp
from adapters.telecom.simulator.messages import yuan
from adapters.telecom.simulator.records import Record, RecordKind

_CHARSET = "gb18030"


def file_name(agent_no: str, acct_date: str, issue: int) -> str:
    """The name of one issue."""
    return f"TEL_{agent_no}_{acct_date}_{issue:02d}.csv"


def lines_of(records: Iterable[Record], agent_no: str, acct_date: str) -> list[Record]:
    """What belongs into the file of a date, in its order: booked on it, or reversed on it."""
    chosen = (r for r in records if r.booked and r.acct_date == acct_date and r.agent_no == agent_no)
    return sorted(chosen, key=lambda record: (record.finished, record.plat_no))


def render(lines: Sequence[Record], agent_no: str, acct_date: str, issue: int, created: str) -> bytes:
    """The whole file: header, details, trailer with counts, sums and the SHA-256 of all before. created: 14 digits."""
    header = ",".join(("H", "TEL", agent_no, acct_date, f"{issue:02d}", created, "3.4"))
    details = (_detail(number, record) for number, record in enumerate(lines, 1))
    body = "".join(f"{line}\r\n" for line in (header, *details)).encode(_CHARSET)
    totals: list[str] = []
    net = 0
    for kind in (RecordKind.PAYMENT, RecordKind.REVERSAL, RecordKind.TOP_UP):
        amounts = [_signed(record, record.charged) for record in lines if record.kind is kind]
        totals += [str(len(amounts)), yuan(sum(amounts))]
        net += sum(amounts)
    digest = hashlib.sha256(body).hexdigest()
    trailer = ",".join(("T", str(len(lines)), *totals, yuan(net), digest))
    return body + f"{trailer}\r\n".encode(_CHARSET)


def _signed(record: Record, amount: int) -> int:
    return -amount if record.kind is RecordKind.REVERSAL else amount


def _detail(number: int, record: Record) -> str:
    partial = record.kind is RecordKind.TOP_UP and record.charged != record.amount
    fields = (
        "D",
        f"{number:08d}",
        record.kind.value,
        record.order_no,
        record.plat_no,
        record.orig_order_no,
        record.isp_code,
        record.acc_type,
        record.acc_no,
        record.cust_name.replace(",", "，"),
        yuan(_signed(record, record.amount)),
        yuan(_signed(record, record.charged)),
        "3" if partial else "2",
        stamp(record.finished),
        record.shop_no,
    )
    return ",".join(fields)
