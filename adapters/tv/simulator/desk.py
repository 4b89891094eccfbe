"""The business: orders, questions, refund requests (interface 1.2 s3-s7). Every method is one step."""

from typing import Any

from adapters.kit.clock import SimulatorClock, Timers
from adapters.kit.control_routes import UndecidableError
from adapters.tv.simulator.messages import Answer, account_fault, customer, plan_of, read_moment, refuse
from adapters.tv.simulator.records import Book, Record

NOT_AFTER_MAX_S = 600
ORDER_ENDS = {2: "SUCCEEDED", 3: "FAILED"}
REFUND_ENDS = {2: "APPROVED", 3: "REJECTED"}
"""Numbers by which the control interface decides: the place of each state in s5."""


class Desk:
    """Writes the book."""

    def __init__(self, book: Book, clock: SimulatorClock, timers: Timers) -> None:
        self.book, self.clock, self._timers = book, clock, timers

    def resume(self) -> None:
        """Take up what an earlier run left open."""
        for record in self.book.orders.values():
            if record.due:
                self._watch(record)

    def account(self, account_no: str) -> Answer:
        """3.1."""
        return refuse(404, "account_not_found") if account_fault(account_no) else Answer(200, customer(account_no))

    def order(self, members: dict[str, Any], decline: Answer | None = None) -> Answer:
        """3.2, in the order of checks of s6. decline: what a new order is refused with."""
        known = self.book.orders.get(members["client_order_id"])
        if known is not None:
            return self._known(known, members)
        refusal = decline or self._refusal(members)
        if refusal is not None:
            return refusal
        state, failure, after_s = plan_of(members["account_no"])
        serial = self.book.next_serial()
        record = Record(
            number=members["client_order_id"],
            serial=serial,
            platform_no=f"CT{self.clock.now_stamp()[:8]}{serial:010d}",
            account_no=members["account_no"],
            product=members["product"],
            amount_fen=members["amount_fen"],
            shop_no=members["shop_no"],
            state="ACCEPTED",
            created=self.clock.now_s(),
            due=0 if after_s is None else self.clock.timer() + after_s,
            plan=state,
            plan_code=failure,
        )
        self.book.put(record)
        if record.due:
            self._watch(record)
        return Answer(202, record.shown())

    def result(self, number: str) -> Answer:
        """3.3."""
        known = self.book.orders.get(number)
        return refuse(404, "order_not_found") if known is None else Answer(200, known.shown())

    def ask_refund(self, number: str, members: dict[str, Any]) -> Answer:
        """3.4."""
        known = self.book.refunds.get(members["client_refund_id"])
        if known is not None:
            known.received += 1
            self.book.put(known)
            return Answer(200, known.shown()) if known.order_id == number else refuse(409, "refund_conflict")
        order = self.book.orders.get(number)
        if order is None:
            return refuse(404, "order_not_found")
        if any(one.order_id == number and one.state != "REJECTED" for one in self.book.refunds.values()):
            return refuse(409, "already_requested")
        if order.state != "SUCCEEDED":
            return refuse(409, "order_not_refundable")
        if self.clock.local().date().isoformat() <= order.account_date:
            return refuse(409, "too_early")
        serial = self.book.next_serial()
        record = Record(
            number=members["client_refund_id"],
            order_id=number,
            serial=serial,
            platform_no=f"CR{self.clock.now_stamp()[:8]}{serial:010d}",
            account_no=order.account_no,
            product=order.product,
            amount_fen=order.amount_fen,
            shop_no=order.shop_no,
            state="REQUESTED",
            created=self.clock.now_s(),
        )
        return Answer(202, self.book.put(record).shown())

    def refund(self, number: str) -> Answer:
        """3.5."""
        known = self.book.refunds.get(number)
        return refuse(404, "refund_not_found") if known is None else Answer(200, known.shown())

    def decide(self, number: str, state: int, amount_fen: int | None) -> Record:
        """End an open order or refund request by hand, see ORDER_ENDS. Raises UndecidableError."""
        record = self.book.orders.get(number) or self.book.refunds.get(number)
        if record is None:
            raise UndecidableError("no such order or refund request")
        if record.final:
            raise UndecidableError("it is final already")
        ends = (REFUND_ENDS if record.order_id else ORDER_ENDS).get(state)
        if ends is None:
            raise UndecidableError("state must be 2 (SUCCEEDED, APPROVED) or 3 (FAILED, REJECTED)")
        if amount_fen not in (None, record.amount_fen if state == 2 else 0):
            raise UndecidableError("no partial success exists")
        return self._settle(record, ends, "device_fault" if ends == "FAILED" else "")

    def _known(self, known: Record, members: dict[str, Any]) -> Answer:
        known.received += 1
        self.book.put(known)
        same = all(getattr(known, name) == members[name] for name in ("account_no", "product", "amount_fen"))
        return Answer(200, known.shown()) if same else refuse(409, "order_conflict")

    def _refusal(self, members: dict[str, Any]) -> Answer | None:
        ahead_s = (read_moment(members["not_after"]) or 0) - self.clock.now_s()
        if ahead_s <= 0:
            return refuse(422, "expired", "not_after")
        if ahead_s > NOT_AFTER_MAX_S:
            return refuse(422, "not_after_too_far", "not_after")
        if account_fault(members["account_no"]):
            return refuse(422, "account_not_found", "account_no")
        found = customer(members["account_no"])
        if found["product"] != members["product"]:
            return refuse(422, "wrong_product", "product")
        if found["state"] == "closed":
            return refuse(422, "account_closed", "account_no")
        if not found["min_fen"] <= members["amount_fen"] <= found["max_fen"]:
            return refuse(422, "amount_out_of_range", "amount_fen")
        return None

    def _settle(self, record: Record, state: str, failure_code: str) -> Record:
        record.state, record.failure_code, record.due = state, failure_code, 0
        record.final = self.clock.now_s()
        if state in ("SUCCEEDED", "APPROVED"):
            record.account_date = self.clock.local().date().isoformat()
        if state == "APPROVED":
            order = self.book.orders[record.order_id]
            order.state = "REFUNDED"
            self.book.put(order)
        return self.book.put(record)

    def _watch(self, record: Record) -> None:
        def ripen() -> None:
            if not record.final:
                self._settle(record, record.plan, record.plan_code)

        self._timers.at(record.due, ripen)
