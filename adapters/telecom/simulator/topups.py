"""Top-up orders and order queries (telecom interface 3.4 s5.4, s5.5, s7, s8)."""

from collections.abc import Mapping

from adapters.telecom.simulator import numbers
from adapters.telecom.simulator.clock import stamp
from adapters.telecom.simulator.desk import Desk, repeated
from adapters.telecom.simulator.messages import ORDER_QUERY, TOP_UP, Answer, answer, fen, refuse, yuan
from adapters.telecom.simulator.records import Record, RecordKind, State

_ANSWERED_FOR_S = 72 * 3600
_TO_CARRIER_S = 5


class TopUps:
    """The top-up business of the platform. A 0000 is only an acceptance."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def order(
        self, members: Mapping[str, str], agent_no: str, *, decline: str | None = None, partial: bool = False
    ) -> Answer:
        """Answer topup/order. decline: a code to refuse a new order with; partial: let a new order end partial."""
        amount = fen(members["faceValue"])
        row = repeated(self._desk, TOP_UP, RecordKind.TOP_UP, members, amount)
        if isinstance(row, Answer):
            return row
        if row is not None:
            return answer(TOP_UP, "2001", _order_fields(row))
        code = decline or _refusal(members, amount)
        if code is not None:
            said = refuse(TOP_UP, code, members)
            return self._desk.refuse(lambda: self._record(members, agent_no, amount), said)
        record = self._record(members, agent_no, amount)
        fate = numbers.fate_of("13900000003" if partial else record.acc_no, amount)
        self._desk.add_open(record, fate.state, fate.charged, fate.after_s or None)
        if fate.after_s == 0:
            self._desk.settle(record, fate.state, fate.charged)
        return answer(TOP_UP, "0000", _order_fields(record))

    def _record(self, members: Mapping[str, str], agent_no: str, amount: int) -> Record:
        return self._desk.create(RecordKind.TOP_UP, members["orderNo"], agent_no, members, amount)


class Orders:
    """Answers questions about the newest record under a number."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def query(self, members: Mapping[str, str]) -> Answer:
        """Answer order/query; 2404 from 72 hours after the record's creation on."""
        record = self._desk.book.newest(members["orderNo"])
        now_s = self._desk.clock.now_s()
        if record is None or record.kind.order_type != members["orderType"] or now_s - record.created > _ANSWERED_FOR_S:
            return refuse(ORDER_QUERY, "2404", members)
        return answer(ORDER_QUERY, "0000", _query_fields(record, now_s))


def _refusal(members: Mapping[str, str], amount: int) -> str | None:
    if amount not in numbers.FACE_VALUES[members["ispCode"]]:
        return "2010"
    return numbers.top_up_refusal(members["accNo"])


def _order_fields(record: Record) -> dict[str, str]:
    return {
        "orderNo": record.order_no,
        "platNo": record.plat_no,
        "accNo": record.acc_no,
        "faceValue": yuan(record.amount),
        "acceptTime": stamp(record.created),
    }


def _query_fields(record: Record, now_s: int) -> dict[str, str]:
    state = record.state
    if state is State.ACCEPTED and now_s - record.created >= _TO_CARRIER_S:
        state = State.WITH_CARRIER
    return {
        "orderNo": record.order_no,
        "orderType": record.kind.order_type,
        "orderSeq": str(record.order_seq),
        "state": str(int(state)),
        "platNo": record.plat_no,
        "ispCode": record.isp_code,
        "accNo": record.acc_no,
        "amount": yuan(record.amount),
        "succAmount": yuan(0 if state is State.REVERSED else record.charged),
        "acctDate": record.acct_date,
        "finishTime": stamp(record.finished),
        "failCode": record.fail_code,
        "failMsg": record.fail_msg,
        "revPlatNo": record.rev_plat_no,
        "origOrderNo": record.orig_order_no,
    }
