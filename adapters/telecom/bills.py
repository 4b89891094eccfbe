"""The reply to bill/query (s5.1, s8.2). Pure, never raises; it moves no money."""

import re

from adapters.telecom import fields, wire
from adapters.telecom.fields import BadField, Mismatch
from adapters.telecom.wire import Answer
from adapters.transport.codes import CodeTable, Means
from contracts.biller import Bill, BillPeriod, BillQuery, BillUnavailable, NoBill
from contracts.money import Fen

PERIODS_MAX = 36
_CUST_STATE = re.compile(r"[1-5]")
_PERIOD = re.compile(r"[0-9]{4}(?:0[1-9]|1[0-2])")
_NAME_BYTES_MAX = 60


def bill_reply(answer: Answer, query: BillQuery, codes: CodeTable) -> Bill | NoBill | BillUnavailable:
    """Read an authentic reply: the bill, the platform's reason for none, or no usable answer.

    The bill's echo carries queryNo and what it is bound to (s4). Names are full; whoever shows them masks them.
    """
    state = answer.members.get("custState", "") if answer.code == "0000" else ""
    row = codes.find("bill", answer.code, state) or codes.find("bill", answer.code)
    if row is None:
        return BillUnavailable(cause="code.unmapped")
    if row.means is Means.NO_BILL:
        return NoBill(resp_code=answer.code, problem=row.problem, shop_text=row.shop_text)
    if row.means is not Means.FOUND:
        return BillUnavailable(cause=f"code.{row.code}")
    try:
        return _bill(answer, wire.bill_query(query))
    except BadField as failure:
        return BillUnavailable(cause=f"reply.malformed.{failure}")
    except Mismatch as failure:
        return BillUnavailable(cause=f"reply.mismatch.{failure}")


def _bill(answer: Answer, asked: dict[str, str]) -> Bill:
    members = answer.members
    fields.same(members, "accNo", asked["accNo"])
    fields.text(members, "custState", _CUST_STATE)
    name = members.get("custName", "")
    if len(name.encode("gb18030")) > _NAME_BYTES_MAX:
        raise BadField("custName")
    least, most = fields.amount(members, "minAmount"), fields.amount(members, "maxAmount")
    if not Fen(0) < least <= most:
        raise BadField("minAmount")
    return Bill(
        customer_name=name,
        address="",
        bills=_periods(members.get("billList", "")),
        total=fields.amount(members, "totalAmount"),
        min=least,
        max=max(least, min(most, wire.AMOUNT_MAX)),
        echo={
            "queryNo": fields.text(members, "queryNo", fields.QUERY_NO),
            "ispCode": asked["ispCode"],
            "accType": asked["accType"],
        },
    )


def _periods(bill_list: str) -> tuple[BillPeriod, ...]:
    if not bill_list:
        return ()
    entries = bill_list.split(";")
    if len(entries) > PERIODS_MAX:
        raise BadField("billList")
    return tuple(_period(entry) for entry in entries)


def _period(entry: str) -> BillPeriod:
    parts = entry.split("|")
    if len(parts) != 3 or not _PERIOD.fullmatch(parts[0]):
        raise BadField("billList")
    return BillPeriod(
        period=parts[0], amount=fields.yuan(parts[1], "billList"), penalty=fields.yuan(parts[2], "billList")
    )
