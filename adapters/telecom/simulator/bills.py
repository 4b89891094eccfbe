"""Arrears query, payment and reversal of bills (telecom interface 3.4 s5.1-s5.3, s7, s8)."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.telecom.simulator import numbers
from adapters.telecom.simulator.clock import stamp
from adapters.telecom.simulator.desk import Desk, repeated
from adapters.telecom.simulator.messages import BILL_PAY, BILL_QUERY, BILL_REVERSE, Answer, answer, fen, refuse, yuan
from adapters.telecom.simulator.records import Record, RecordKind, State

_QUERY_VALID_S = 1800
_QUERIES_KEPT = 200_000
_CARRIER_SILENT = "9002"


@dataclass(slots=True)
class _Query:
    """What a queryNo is bound to. made: timer seconds."""

    account: tuple[str, str, str]
    made: float
    used_by: Record | None = None


class Bills:
    """The bill business of the platform. A queryNo lives in memory only: the platform forgets it at a restart (s4)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._queries: dict[str, _Query] = {}
        self._made: deque[str] = deque()
        self._paid_once = {record.order_no for record in desk.book if record.acc_no == numbers.PAID_ONCE}

    def query(self, members: Mapping[str, str]) -> Answer:
        """Answer bill/query."""
        isp_code, acc_no = members["ispCode"], members["accNo"]
        refusal = numbers.bill_refusal(isp_code, acc_no, self._paid_before(acc_no))
        if refusal is not None:
            return answer(BILL_QUERY, refusal)
        bill = numbers.bill_of(isp_code, acc_no)
        fields = {
            "accNo": acc_no,
            "queryNo": self._new_query((isp_code, members["accType"], acc_no)),
            "custName": bill.cust_name,
            "custState": "1",
            "balance": yuan(bill.balance),
            "totalAmount": yuan(bill.total),
            "minAmount": yuan(bill.least),
            "maxAmount": yuan(bill.most),
            "billList": ";".join(f"{period}|{yuan(amount)}|{yuan(penalty)}" for period, amount, penalty in bill.lines),
        }
        return answer(BILL_QUERY, "0000", fields)

    def pay(self, members: Mapping[str, str], agent_no: str, decline: str | None = None) -> Answer:
        """Answer bill/pay. decline: a code to refuse a new order with."""
        amount = fen(members["amount"])
        row = repeated(self._desk, BILL_PAY, RecordKind.PAYMENT, members, amount)
        if isinstance(row, Answer):
            return row
        if row is not None:
            if not row.final:
                return refuse(BILL_PAY, "2003", members)
            return answer(BILL_PAY, "2004" if row.state is State.REVERSED else "2001", _pay_fields(row))
        code = decline or self._pay_refusal(members, amount)
        if code is not None:
            said = refuse(BILL_PAY, code, members)
            return self._desk.refuse(lambda: self._record(members, agent_no, amount), said)
        return self._book(members, self._record(members, agent_no, amount))

    def reverse(self, members: Mapping[str, str], agent_no: str) -> Answer:
        """Answer bill/reverse: the whole payment, keyed by origOrderNo, safe to repeat."""
        book = self._desk.book
        used, original = book.newest(members["revNo"]), book.newest(members["origOrderNo"])
        if used is not None and (used.kind is not RecordKind.REVERSAL or used.orig_order_no != members["origOrderNo"]):
            return refuse(BILL_REVERSE, "2002", members)
        code = self._reverse_refusal(members, original)
        if code is not None or original is None:
            return refuse(BILL_REVERSE, code or "2404", members)
        if original.state is State.REVERSED:
            return self._reversed_before(original)
        code = "2010" if original.acct_date != self._desk.clock.acct_date() else None
        code = code or numbers.reverse_refusal(original.acc_no)
        if code is not None:
            return refuse(BILL_REVERSE, code, members)
        return answer(BILL_REVERSE, "0000", _reverse_fields(self._undo(members, agent_no, original), "1"))

    def _pay_refusal(self, members: Mapping[str, str], amount: int) -> str | None:
        isp_code, acc_no = members["ispCode"], members["accNo"]
        refusal = numbers.bill_refusal(isp_code, acc_no, self._paid_before(acc_no))
        if refusal is not None:
            return refusal
        query = self._queries.get(members["queryNo"])
        if query is None or query.account != (isp_code, members["accType"], acc_no):
            return "2013"
        if abs(self._desk.clock.timer() - query.made) > _QUERY_VALID_S:
            return "2013"
        if query.used_by is not None and query.used_by.state is not State.FAILED:
            return "2013"
        refusal = numbers.pay_refusal(acc_no)
        if refusal is not None:
            return refusal
        bill = numbers.bill_of(isp_code, acc_no)
        return None if bill.least <= amount <= bill.most else "2014"

    def _record(self, members: Mapping[str, str], agent_no: str, amount: int) -> Record:
        record = self._desk.create(RecordKind.PAYMENT, members["orderNo"], agent_no, members, amount)
        record.cust_name = numbers.bill_of(record.isp_code, record.acc_no).cust_name
        return record

    def _book(self, members: Mapping[str, str], record: Record) -> Answer:
        self._queries[members["queryNo"]].used_by = record
        if record.acc_no == numbers.PAID_ONCE:
            self._paid_once.add(record.order_no)
        ends = numbers.CARRIER_SILENT.get(record.acc_no)
        if ends is not None:
            record.state = State.WITH_CARRIER
            charged = record.amount if ends is State.SUCCEEDED else 0
            self._desk.add_open(record, ends, charged, numbers.CARRIER_SILENT_S)
            return refuse(BILL_PAY, _CARRIER_SILENT, members)
        self._desk.book.add(record)
        self._desk.settle(record, State.SUCCEEDED, record.amount)
        return answer(BILL_PAY, "0000", _pay_fields(record))

    def _reverse_refusal(self, members: Mapping[str, str], original: Record | None) -> str | None:
        if original is None or original.kind is RecordKind.REVERSAL:
            return "2404"
        if original.kind is RecordKind.TOP_UP:
            return "2019"
        if original.state is State.FAILED:
            return "2404"
        if original.acc_no != members["accNo"] or original.amount != fen(members["amount"]):
            return "2014"
        return None if original.final else "2003"

    def _undo(self, members: Mapping[str, str], agent_no: str, original: Record) -> Record:
        desk = self._desk
        undo = desk.create(RecordKind.REVERSAL, members["revNo"], agent_no, members, original.amount)
        undo.isp_code, undo.acc_type, undo.cust_name = original.isp_code, original.acc_type, original.cust_name
        undo.orig_order_no, undo.orig_plat_no = original.order_no, original.plat_no
        desk.book.add(undo)
        desk.settle(undo, State.SUCCEEDED, original.amount)
        original.state, original.rev_no, original.rev_plat_no = State.REVERSED, undo.order_no, undo.plat_no
        desk.book.changed(original)
        return undo

    def _reversed_before(self, original: Record) -> Answer:
        undo = self._desk.book.newest(original.rev_no)
        assert undo is not None, "a reversed payment has its reversal in the book"
        undo.received += 1
        self._desk.book.changed(undo)
        said = answer(BILL_REVERSE, "0000", _reverse_fields(undo, "2"))
        return Answer(said.code, "原交易已返销", said.fields)

    def _new_query(self, account: tuple[str, str, str]) -> str:
        clock = self._desk.clock
        query_no = f"Q{clock.now_stamp()}{self._desk.book.next_serial() % 10**9:09d}"
        self._queries[query_no] = _Query(account, clock.timer())
        self._made.append(query_no)
        if len(self._made) > _QUERIES_KEPT:
            del self._queries[self._made.popleft()]
        return query_no

    def _paid_before(self, acc_no: str) -> bool:
        if acc_no != numbers.PAID_ONCE:
            return False
        newest = (self._desk.book.newest(order_no) for order_no in self._paid_once)
        return any(record is not None and record.state is State.SUCCEEDED for record in newest)


def _pay_fields(record: Record) -> dict[str, str]:
    return {
        "orderNo": record.order_no,
        "platNo": record.plat_no,
        "accNo": record.acc_no,
        "amount": yuan(record.amount),
        "acctDate": record.acct_date,
        "payTime": stamp(record.finished),
    }


def _reverse_fields(undo: Record, flag: str) -> dict[str, str]:
    return {
        "revNo": undo.order_no,
        "revFlag": flag,
        "revPlatNo": undo.plat_no,
        "origOrderNo": undo.orig_order_no,
        "origPlatNo": undo.orig_plat_no,
        "accNo": undo.acc_no,
        "amount": yuan(undo.amount),
        "acctDate": undo.acct_date,
    }
