"""A random life of a book: every kind of ask and answer, in any order, on the house of tests/stand."""

import json
from pathlib import Path
from typing import Any

from gateway.core import items, rows
from tests.stand.house import House, code

ANSWERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Paid", {}),
    ("Paid", {}),
    ("Declined", {"resp_code": "E12", "reason": "biller-refused"}),
    ("Unknown", {"cause": "reset-after-send"}),
    ("Accepted", {"biller_serial": "B1", "ask_after_s": 60}),
    ("NotSent", {"cause": "refused", "retry_after_s": 1}),
    ("Pending", {}),
    ("Absent", {}),
    ("Undone", {}),
)
UNDOINGS = ("Undone", "StillPaid", "NeverPaid", "NotUndone", "Unknown", "NotSent", "Pending")


class Walk:
    """Takes random steps; whatever is refused is part of the life too."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.house = House(folder, seed=seed, stations=2, deposit_fen=60_000)
        self.house.set_price("acme.bill", version="V2", reverse_after_s=600, effective_from="2026-02-01")
        self.random = self.house.random
        self.payments: list[str] = []
        self.granted: list[items.Granted] = []

    def run(self, steps: int) -> None:
        """Walk on."""
        often = (self.pay, self.pay, self.settle, self.settle, self.claim, self.answer, self.ask, self.ask, self.cancel)
        seldom = (self.write, self.refund, self.deposit, self.sweep, self.resolve, self.seal, self.inquire, self.wait)
        moves = often * 2 + seldom
        for _ in range(steps):
            self.random.choice(moves)()

    def pay(self) -> None:
        service = self.random.choice(["acme.bill", "acme.bill", "acme.topup", "acme.once", "meters.card"])
        station = self.random.choice([1, 2])
        item = self.house.accept(
            station,
            service=service,
            biller_account=f"{self.random.randint(1, 6):05d}",
            amount_fen=self.random.choice([1_000, 5_003, 12_345, 27_777]),
            params=json.dumps({"carrier": "a"}) if service == "acme.once" else "{}",
        )
        (reply,) = self.house.batch([item])
        if isinstance(reply, items.Taken) and reply.payment.gateway_serial not in self.payments:
            self.payments.append(reply.payment.gateway_serial)

    def orders(self, where: str) -> list[rows.Order]:
        names = rows.Order.__struct_fields__
        found = self.house.sql(f"SELECT {', '.join(names)} FROM orders WHERE {where}")
        return [rows.Order(**dict(zip(names, row, strict=True))) for row in found]

    def pick(self, where: str) -> rows.Order | None:
        found = self.orders(where)
        return self.random.choice(found) if found else None

    def claim(self) -> None:
        order = self.pick("state = 'READY' OR (state = 'UNKNOWN' AND kind IN ('REVERSE', 'CANCEL'))")
        if order is not None:
            (reply,) = self.house.batch([self.house.claim(order, repeat=order.state == "UNKNOWN")])
            if isinstance(reply, items.Granted):
                self.granted.append(reply)

    def settle(self) -> None:
        self.claim()
        self.answer()

    def answer(self) -> None:
        if self.granted:
            granted = self.granted.pop(self.random.randrange(len(self.granted)))
            kind, values = self._answer(granted.order, granted.payment)
            self.house.batch([self.house.reply_of(granted, kind, **values)])

    def ask(self) -> None:
        order = self.pick("state IN ('SENT', 'UNKNOWN', 'REFUSED', 'VOID', 'DONE')")
        if order is not None:
            names = rows.Payment.__struct_fields__
            sql = f"SELECT {', '.join(names)} FROM payments WHERE gateway_serial = ?"
            (found,) = self.house.sql(sql, order.gateway_serial)
            payment = rows.Payment(**dict(zip(names, found, strict=True)))
            kind, values = self._answer(order, payment)
            if kind != "NotSent":
                source = self.random.choice(["query", "notice", "file"])
                self.house.batch([self.house.evidence(order, kind, source=source, raw=b"raw", **values)])

    def _answer(self, order: rows.Order, payment: rows.Payment) -> tuple[str, dict[str, Any]]:
        if order.kind in ("REVERSE", "CANCEL"):
            kind = self.random.choice(UNDOINGS)
            return kind, {"resp_code": "E", "reason": "biller-refused"} if kind in ("StillPaid", "NotUndone") else {}
        if order.kind == "WRITE_CONFIRM":
            return self.random.choice(["Paid", "Declined", "Unknown"]), {}
        kind, values = self.random.choice(ANSWERS)
        if kind == "Paid":
            part = payment.amount_fen // 2 if self.random.random() < 0.2 else payment.amount_fen
            values = {"paid_fen": part, "biller_serial": f"B{order.order_serial}", "biller_date": "2026-11-24"}
        return kind, dict(values)

    def keyed(self, kind: Any, **fields: Any) -> None:
        if self.payments:
            serial = self.random.choice(self.payments)
            found = self.house.sql("SELECT institution_code FROM payments WHERE gateway_serial = ?", serial)
            station = 1 if found[0][0] == code(1) else 2
            (reply,) = self.house.batch([self.house.keyed(kind, station, gateway_serial=serial, **fields)])
            if isinstance(reply, items.Taken) and reply.payment.gateway_serial not in self.payments:
                self.payments.append(reply.payment.gateway_serial)

    def cancel(self) -> None:
        self.keyed(items.Cancel, reason="按错")

    def write(self) -> None:
        self.keyed(items.ReportWrite, written=self.random.random() < 0.6)

    def refund(self) -> None:
        self.keyed(items.Refund, amount_fen=500, reason="多收")

    def deposit(self) -> None:
        self.house.deposit(self.random.choice([1, 2]), self.random.choice([1_000, 30_001]))

    def sweep(self) -> None:
        self.house.ask(items.Sweep(entropy=self.house.entropy()), items.Swept)

    def resolve(self) -> None:
        self.house.ask(items.TakeQuestions(entropy=self.house.entropy()), items.Questions)

    def seal(self) -> None:
        self.house.seal()

    def inquire(self) -> None:
        self.house.batch([items.Inquire(arrival=self.house.arrival(), key=f"free-{self.house.entropy():020d}"[:40])])

    def wait(self) -> None:
        self.house.advance(self.random.choice([1, 1, 1, 30, 30, 130, 700, 4000, 40_000]))
