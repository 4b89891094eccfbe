"""The platform's book: orders and refund requests, in memory for speed and in the journal for ever."""

from collections.abc import Iterator
from typing import Any

import msgspec

from adapters.kit.book import BookLine, BookState, Journal
from adapters.kit.clock import stamp
from adapters.tv.simulator.messages import write_moment

_STATES = {
    "ACCEPTED": BookState.PENDING,
    "REQUESTED": BookState.PENDING,
    "SUCCEEDED": BookState.BOOKED,
    "APPROVED": BookState.BOOKED,
    "FAILED": BookState.FAILED,
    "REJECTED": BookState.FAILED,
    "REFUNDED": BookState.REVERSED,
}


class Record(msgspec.Struct, kw_only=True):
    """An order, or a refund request where order_id names the order it is about. Amounts in fen; epoch seconds, 0: not
    yet. account_date: YYYY-MM-DD. plan, plan_code: how an open order ends at `due` (timer seconds, 0: only by hand).
    """

    number: str
    order_id: str = ""
    serial: int
    platform_no: str
    account_no: str
    product: str
    amount_fen: int
    shop_no: str
    state: str
    created: int
    final: int = 0
    account_date: str = ""
    failure_code: str = ""
    received: int = 1
    due: float = 0
    plan: str = ""
    plan_code: str = ""

    @property
    def booked(self) -> bool:
        """Whether it stands in the day file of its account_date (s8)."""
        return bool(self.account_date)

    def shown(self) -> dict[str, Any]:
        """The body of 3.2 and 3.3, or of 3.4 and 3.5."""
        ids: dict[str, Any] = {"client_order_id": self.number, "order_no": self.platform_no, "product": self.product}
        if self.order_id:
            ids = {
                "client_order_id": self.order_id,
                "client_refund_id": self.number,
                "refund_no": self.platform_no,
            }
        return ids | {
            "account_no": self.account_no,
            "amount_fen": self.amount_fen,
            "state": self.state,
            "created_at": write_moment(self.created),
            "final_at": write_moment(self.final),
            "account_date": self.account_date or None,
            "failure_code": self.failure_code or None,
        }


def line_of(record: Record) -> BookLine:
    """The record as the control interface shows it; an approved refund counts against what is owed."""
    owed = record.amount_fen if record.booked else 0
    return BookLine(
        order_no=record.number,
        order_seq=1,
        kind="refund" if record.order_id else "order",
        plat_no=record.platform_no,
        account=record.account_no,
        amount_fen=record.amount_fen,
        charged_fen=-owed if record.order_id else owed,
        state=_STATES[record.state],
        partner_state=record.state,
        fail_code=record.failure_code,
        orig_order_no=record.order_id,
        acct_date=record.account_date.replace("-", ""),
        created_at=stamp(record.created),
        finished_at=stamp(record.final),
        received=record.received,
        shop_no=record.shop_no,
    )


class Book:
    """Orders by client_order_id, refunds by client_refund_id, which are two number spaces (s3.4).

    What it shows may be newer than the disk: an answer that rests on it goes out only after Journal.durable().
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.orders: dict[str, Record] = {}
        self.refunds: dict[str, Record] = {}
        self._serial = 0

    def load(self) -> None:
        """Read what earlier runs left in the journal."""
        for family, kept in (("order", self.orders), ("refund", self.refunds)):
            for body in self._journal.load(family):
                record = msgspec.json.decode(body, type=Record)
                kept[record.number] = record
                self._serial = max(self._serial, record.serial)

    def next_serial(self) -> int:
        """The next number of the platform's one counter."""
        self._serial += 1
        return self._serial

    def put(self, record: Record) -> Record:
        """Keep this record, new or changed, with the next commit."""
        (self.refunds if record.order_id else self.orders)[record.number] = record
        self._journal.put("refund" if record.order_id else "order", record.number, 1, record)
        return record

    def __iter__(self) -> Iterator[Record]:
        yield from self.orders.values()
        yield from self.refunds.values()
