"""The platform's book: every record under every number, in memory for speed and in the journal for ever."""

from collections.abc import Iterator
from enum import IntEnum, StrEnum

import msgspec

from adapters.kit.book import BookLine, BookState, Journal
from adapters.telecom.simulator.clock import stamp

_FAMILY = "order"


class RecordKind(StrEnum):
    """The letter of the day file (s11) and the orderType of s5.5 are both told by it."""

    PAYMENT = "P"
    REVERSAL = "R"
    TOP_UP = "T"

    @property
    def order_type(self) -> str:
        """The orderType of an order query (s5.5)."""
        return {"P": "1", "T": "2", "R": "3"}[self.value]


class State(IntEnum):
    """`state` of s8.6."""

    ACCEPTED = 0
    WITH_CARRIER = 1
    SUCCEEDED = 2
    PARTIAL = 3
    FAILED = 4
    REVERSED = 5


FINAL = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.REVERSED})
"""States in which nothing is open (2 may still become 5)."""


class Record(msgspec.Struct, kw_only=True):
    """One record under one number. Amounts in fen; times in epoch seconds of the platform, 0 for "not yet".

    charged: what it was booked at, also after a reversal. plan_*: how an open record ends at `due` (timer seconds, 0:
    only by hand). notice_due: when the next try is due (timer seconds, 0: none).
    """

    order_no: str
    order_seq: int
    kind: RecordKind
    serial: int
    plat_no: str
    agent_no: str
    isp_code: str
    acc_type: str
    acc_no: str
    amount: int
    charged: int = 0
    state: State
    shop_no: str
    cust_name: str = ""
    created: int
    finished: int = 0
    acct_date: str = ""
    fail_code: str = ""
    fail_msg: str = ""
    orig_order_no: str = ""
    orig_plat_no: str = ""
    rev_no: str = ""
    rev_plat_no: str = ""
    received: int = 1
    due: float = 0
    plan_state: State = State.SUCCEEDED
    plan_charged: int = 0
    notice_due: float = 0
    notice_tries: int = 0

    @property
    def final(self) -> bool:
        """Whether its result is known."""
        return self.state in FINAL

    @property
    def booked(self) -> bool:
        """Whether it became booked at any time (and may have been reversed since)."""
        return self.final and self.state is not State.FAILED


_STATES = {
    State.ACCEPTED: BookState.PENDING,
    State.WITH_CARRIER: BookState.PENDING,
    State.SUCCEEDED: BookState.BOOKED,
    State.PARTIAL: BookState.PARTIAL,
    State.FAILED: BookState.FAILED,
    State.REVERSED: BookState.REVERSED,
}
_KINDS = {RecordKind.PAYMENT: "payment", RecordKind.REVERSAL: "reversal", RecordKind.TOP_UP: "top-up"}


def line_of(record: Record) -> BookLine:
    """The record as the control interface shows it."""
    owed = record.state in (State.SUCCEEDED, State.PARTIAL) and record.kind is not RecordKind.REVERSAL
    return BookLine(
        order_no=record.order_no,
        order_seq=record.order_seq,
        kind=_KINDS[record.kind],
        plat_no=record.plat_no,
        account=record.acc_no,
        amount_fen=record.amount,
        charged_fen=record.charged if owed else 0,
        state=_STATES[record.state],
        partner_state=str(int(record.state)),
        fail_code=record.fail_code,
        orig_order_no=record.orig_order_no,
        reversed_by=record.rev_no,
        acct_date=record.acct_date,
        created_at=stamp(record.created),
        finished_at=stamp(record.finished),
        received=record.received,
        shop_no=record.shop_no,
    )


class Book:
    """All records, by number and sequence. One event loop decides, so a look and a change without await are atomic.

    What it shows may be newer than the disk: an answer that rests on it goes out only after `durable()`.
    The whole book is held in memory (about 1 KiB a record).
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._records: dict[str, list[Record]] = {}
        self._serial = 0
        self.durable = journal.durable

    def load(self) -> None:
        """Read what earlier runs left in the journal."""
        decode = msgspec.json.Decoder(Record).decode
        for body in self._journal.load(_FAMILY):
            record = decode(body)
            self._records.setdefault(record.order_no, []).append(record)
            self._serial = max(self._serial, record.serial)

    def next_serial(self) -> int:
        """The next number of the platform's one counter; queryNo, platNo and noticeNo carry it."""
        self._serial += 1
        return self._serial

    def newest(self, order_no: str) -> Record | None:
        """The newest record under a number."""
        records = self._records.get(order_no)
        return records[-1] if records else None

    def next_seq(self, order_no: str) -> int:
        """The orderSeq of the next record under a number (s7)."""
        return len(self._records.get(order_no, ())) + 1

    def add(self, record: Record) -> Record:
        """Put in a new record and return it."""
        assert record.order_seq == self.next_seq(record.order_no), "a record under a number follows the one before"
        self._records.setdefault(record.order_no, []).append(record)
        self.changed(record)
        return record

    def changed(self, record: Record) -> None:
        """Write this record as it is now with the next commit."""
        self._journal.put(_FAMILY, record.order_no, record.order_seq, record)

    def __iter__(self) -> Iterator[Record]:
        for records in self._records.values():
            yield from records
