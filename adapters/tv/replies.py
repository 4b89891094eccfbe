"""What a complete reply means: (flow, code, state) through codes.toml, facts compared. Pure, never raises (s3-s7)."""

from dataclasses import replace

from adapters.transport.codes import CodeTable, Means, refused
from adapters.transport.http import Reply
from adapters.transport.json_body import BadBody
from adapters.tv import wire
from contracts.biller import Bill, BillQuery, BillUnavailable, NoBill, PayOrder, ResultQuery
from contracts.money import Fen
from contracts.outcomes import Absent, Accepted, Declined, Evidence, Outcome, Paid, Pending, Reason, Unknown


def pay_outcome(reply: Reply, order: PayOrder, codes: CodeTable) -> Outcome:
    """The reply to an order call (s3.2, s4, s6)."""
    code = wire.refusal(reply)
    if code is None:
        return replace(_order(reply, order, codes, "pay", 202, 200), raw=reply.body)
    row = codes.find("pay", code)
    if row is None:
        return Unknown(cause="code.unmapped", resp_code=code, raw=reply.body)
    said = refused(row, code, retry_after_s=wire.wish_s(reply))
    if isinstance(said, Unknown):
        return replace(said, raw=reply.body, alarm=True)  # order_conflict: "ask and alarm" (s6)
    return replace(said, raw=reply.body)


def result_evidence(reply: Reply, query: ResultQuery, codes: CodeTable) -> Evidence:
    """The reply to a result call (s3.3, s5, s7). Age is the core's to judge."""
    code = wire.refusal(reply)
    if code is None:
        told = _order(reply, query, codes, "query", 200)
        if isinstance(told, Accepted):
            return Pending(resp_code=told.resp_code, biller_serial=told.biller_serial, raw=reply.body)
        return replace(told, raw=reply.body)
    row = codes.find("query", code)
    if row is not None and row.means is Means.ABSENT:
        return Absent(resp_code=code, raw=reply.body)
    return Unknown(cause=f"code.{code if row else 'unmapped'}", resp_code=code, raw=reply.body)


def bill_reply(reply: Reply, query: BillQuery, codes: CodeTable) -> Bill | NoBill | BillUnavailable:
    """The reply to an account call (s3.1). Moves no money."""
    try:
        code = wire.refusal(reply)
        found = None if code else wire.read(reply, wire.CUSTOMER, 200)
        if found is None:
            row = codes.find("bill", code or "")
        elif found.account_no != query.biller_account:
            raise BadBody("mismatch.account_no")
        else:
            code = "product" if found.product != wire.product(query.params) else found.state
            row = codes.find("bill", code)
    except BadBody as wrong:
        return BillUnavailable(cause=f"reply.{wrong}")
    if row is not None and row.means is Means.NO_BILL:
        return NoBill(resp_code=row.code, problem=row.problem, shop_text=row.shop_text)
    if row is None or found is None or row.means is not Means.FOUND or found.min_fen > found.max_fen:
        return BillUnavailable(cause=f"code.{code}")
    return Bill(
        customer_name=found.name_masked,
        address=found.address_masked,
        bills=(),
        total=Fen(found.due_fen),
        min=Fen(found.min_fen),
        max=Fen(found.max_fen),
    )


def _order(
    reply: Reply, asked: PayOrder | ResultQuery, codes: CodeTable, flow: str, *statuses: int
) -> Accepted | Paid | Declined | Unknown:
    """An order as it is now, which must be the one asked about: else it proves nothing (s3.2)."""
    try:
        order = wire.read(reply, wire.ORDER, *statuses)
    except BadBody as wrong:
        return Unknown(cause=f"reply.{wrong}")
    sent = {
        "client_order_id": asked.partner_serial,
        "account_no": asked.biller_account,
        "amount_fen": asked.amount.value,
        "product": wire.product(asked.params),
    }
    for name, value in sent.items():
        if getattr(order, name) != value:
            return Unknown(cause=f"reply.mismatch.{name}", resp_code=order.state, alarm=True)
    row = codes.find(flow, "order", order.state)
    match row.means if row else None:
        case Means.ACCEPTED | Means.PENDING:
            return Accepted(biller_serial=order.order_no, ask_after_s=2, resp_code=order.state)
        case Means.PAID if order.account_date and order.final_at:
            date = order.account_date
            return Paid(biller_serial=order.order_no, paid=asked.amount, biller_date=date, resp_code=order.state)
        case Means.DECLINED if row is not None and order.failure_code and not order.account_date:
            why = codes.find("failure", order.failure_code) or row
            return Declined(resp_code=order.failure_code, reason=Reason(why.reason))
    return Unknown(cause="reply.state", resp_code=order.state, biller_serial=order.order_no)
