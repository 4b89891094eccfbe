"""Making, ending and deciding records: what bills and top-ups have in common (telecom interface 3.4 s4, s7)."""

from collections.abc import Callable, Mapping

from adapters.kit.control_routes import UndecidableError
from adapters.telecom.simulator.clock import PlatformClock, Timers
from adapters.telecom.simulator.messages import Answer, refuse
from adapters.telecom.simulator.records import Book, Record, RecordKind, State

_LEAVES_A_RECORD = frozenset({f"{code}" for code in range(2010, 2018)} | {"2030", "2031"})


class Desk:
    """Writes the book. Every method changes it in one step, without an await. on_final: told of every top-up's end."""

    def __init__(self, book: Book, clock: PlatformClock, timers: Timers) -> None:
        self.book = book
        self.clock = clock
        self.timers = timers
        self.on_final: Callable[[Record], None] = lambda record: None

    def resume(self) -> None:
        """Take up what an earlier run left open."""
        for record in self.book:
            if not record.final and record.due:
                self._watch(record)

    def create(self, kind: RecordKind, number: str, agent_no: str, members: Mapping[str, str], amount: int) -> Record:
        """A new record under a number, open, not yet in the book: the caller completes and adds it."""
        serial, now_s = self.book.next_serial(), self.clock.now_s()
        return Record(
            order_no=number,
            order_seq=self.book.next_seq(number),
            kind=kind,
            serial=serial,
            plat_no=f"TP{self.clock.now_stamp()}{serial % 10**8:08d}",
            agent_no=agent_no,
            isp_code=members.get("ispCode", ""),
            acc_type=members.get("accType", "01"),
            acc_no=members["accNo"],
            amount=amount,
            state=State.ACCEPTED,
            shop_no=members["shopNo"],
            created=now_s,
        )

    def add_open(self, record: Record, ends: State, charged: int, after_s: int | None) -> None:
        """Put in a record that ends as said `after_s` seconds from now (None: only by hand)."""
        record.plan_state, record.plan_charged = ends, charged
        record.due = 0 if after_s is None else self.clock.timer() + after_s
        self.book.add(record)
        if record.due:
            self._watch(record)

    def settle(self, record: Record, state: State, charged: int) -> None:
        """End an open record: booked now with `charged` fen, or failed."""
        record.state, record.charged, record.due = state, charged, 0
        record.finished = self.clock.now_s()
        if state is State.FAILED:
            record.fail_code = record.fail_code or "2012"
            record.fail_msg = record.fail_msg or _CARRIER_FAILED[record.kind]
        else:
            record.acct_date = self.clock.acct_date()
        self.book.changed(record)
        if record.kind is RecordKind.TOP_UP:
            self.on_final(record)

    def refuse(self, record_of: Callable[[], Record], said: Answer) -> Answer:
        """Pass on a refusal of a pay or top-up, leaving a failed record where s7 says that it leaves one."""
        if said.code in _LEAVES_A_RECORD:
            record = record_of()
            record.state, record.finished = State.FAILED, self.clock.now_s()
            record.fail_code, record.fail_msg = said.code, said.msg
            self.book.add(record)
        return said

    def decide(self, order_no: str, state: State, charged: int | None) -> Record:
        """End an open record by hand. charged: fen, for a partial top-up. Raises UndecidableError."""
        record = self.book.newest(order_no)
        if record is None:
            raise UndecidableError("no such order")
        if record.final:
            raise UndecidableError("the order is final already")
        if state not in (State.SUCCEEDED, State.PARTIAL, State.FAILED):
            raise UndecidableError("state must be 2, 3 or 4")
        full = {State.SUCCEEDED: record.amount, State.FAILED: 0}.get(state)
        if full is not None and charged not in (None, full):
            raise UndecidableError(f"succAmount must be {full} in this state")
        if full is None and (record.kind is not RecordKind.TOP_UP or not charged or not 0 < charged < record.amount):
            raise UndecidableError("a partial is a top-up with succAmount above 0 and below its amount")
        self.settle(record, state, charged if full is None and charged else full or 0)
        return record

    def _watch(self, record: Record) -> None:
        def ripen() -> None:
            if not record.final:
                self.settle(record, record.plan_state, record.plan_charged)

        self.timers.at(record.due, ripen)


_CARRIER_FAILED = {RecordKind.TOP_UP: "运营商充值失败", RecordKind.PAYMENT: "运营商销账失败"}


def repeated(
    desk: Desk, operation: str, kind: RecordKind, members: Mapping[str, str], amount: int
) -> Record | Answer | None:
    """The row of s7's table that applies: None for a new order, the refusal, or the record this one repeats."""
    newest = desk.book.newest(members["orderNo"])
    if newest is None or (newest.kind is kind and newest.state is State.FAILED and not _too_soon(desk, newest)):
        return None
    newest.received += 1
    desk.book.changed(newest)
    if newest.kind is not kind:
        return refuse(operation, "2002", members)
    if newest.state is State.FAILED:
        return refuse(operation, "2018", members)
    content = (members["ispCode"], members.get("accType", "01"), members["accNo"], amount)
    if content != (newest.isp_code, newest.acc_type, newest.acc_no, newest.amount):
        return refuse(operation, "2002", members)
    return newest


def _too_soon(desk: Desk, failed: Record) -> bool:
    return failed.kind is RecordKind.TOP_UP and 0 <= desk.clock.now_s() - failed.finished <= 60
