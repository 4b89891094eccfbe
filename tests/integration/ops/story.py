"""A small book in which something of every kind has happened, over two days, with a signed seal."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certs.certificates import Role
from certs.keys import PemSigner
from certs.pilot import issue, make_issuing, make_key, make_root
from gateway.core import chores, items, rows
from gateway.core.admit import make_record
from tests.stand.house import NOON, House, code, keyid


class Story:
    """payments: by what became of them. Ends at noon of the second day with the first one signed."""

    def __init__(self, folder: Path) -> None:
        self.house = house = House(folder, deposit_fen=200_000)
        house.add_station(3, overdraft_limit_fen=5_000)
        self.payments: dict[str, rows.Payment] = {}
        self._first_day()
        house.seal()
        house.advance(86_400)
        house.seal()
        self.pay("second-day", amount_fen=7_777)
        self._sign()
        house.seal()
        self.pay("unsealed", amount_fen=8_888)

    def pay(self, name: str, station: int = 1, *, account: str = "", **changes: Any) -> rows.Payment:
        account = account or f"{len(self.payments) + 10_001}"
        made = self.house.pay(station, biller_account=account, **changes)
        self.payments[name] = made
        return made

    def _first_day(self) -> None:
        house = self.house
        house.settle(self.pay("success"))
        house.settle(self.pay("second-success", amount_fen=20_001))
        partial = self.pay("partial", service="acme.topup", amount_fen=9_999)
        house.settle(partial, "Accepted", biller_serial="B-PART", ask_after_s=60)
        proof: dict[str, Any] = {"paid_fen": 3_333, "biller_serial": "B-PART"}
        house.batch([house.evidence(house.order_of(partial), "Paid", raw=b"3333", **proof)])
        house.settle(self.pay("declined"), "Declined", resp_code="E12", reason="biller-refused")
        house.settle(self.pay("unknown", service="acme.topup"), "Unknown", cause="reset-after-send")
        self._confirmed(self.pay("reserved"))
        house.send(self.pay("sent"))
        self._cancelled()
        self._reversed()
        self._corrected()
        self._written()
        self._contradicted()
        self.pay("overdraft", 3, amount_fen=4_000)
        house.batch([items.Inquire(arrival=house.arrival(), key="a-key-nobody-used")])
        house.batch([house.accept(2, amount_fen=4_999_900)])  # refused: the balance does not cover it

    def _cancelled(self) -> None:
        house = self.house
        payment = self.pay("cancelled")
        house.settle(payment)
        house.batch([house.keyed(items.Cancel, gateway_serial=payment.gateway_serial, reason="按错")])
        house.batch([house.reply_of(house.send(payment, "CANCEL"), "Undone")])

    def _confirmed(self, first: rows.Payment) -> None:
        """A second open payment of one account and amount, confirmed beside the first."""
        asked: dict[str, Any] = {"biller_account": first.biller_account, "amount_fen": first.amount_fen}
        refused = self.house.ask(self.house.accept(**asked), items.Refusal)
        self.pay("confirmed", confirm_repeat=refused.repeat_token, account=first.biller_account)

    def _contradicted(self) -> None:
        """Paid, and then a file that says otherwise, and a second charge; paid by a call that names a wrong amount."""
        house = self.house
        payment = self.pay("contradicted")
        house.settle(payment)
        order = house.order_of(payment)
        against = house.evidence(order, "Declined", source="file", resp_code="E12", reason="biller-refused", raw=b"no")
        again = house.evidence(order, "Paid", paid_fen=payment.amount_fen, biller_serial="B-TWICE", raw=b"twice")
        house.batch([against])
        house.batch([again])
        house.settle(self.pay("half"), "Paid", paid_fen=5_000, biller_serial="B-HALF")
        given_up = self.pay("given-up")
        house.settle(given_up, "NotSent", cause="refused", retry_after_s=1)
        house.batch([house.keyed(items.Cancel, gateway_serial=given_up.gateway_serial, reason="按错")])

    def _reversed(self) -> None:
        house = self.house
        payment = self.pay("reversed")
        house.settle(payment, "Unknown", cause="reset-after-send")
        house.advance(1000)
        house.ask(items.TakeQuestions(entropy=house.entropy()), items.Questions)
        house.batch([house.reply_of(house.send(payment, "REVERSE"), "Undone")])

    def _corrected(self) -> None:
        """FAILED, proven paid when the money was spent (R09), then covered by a deposit (R21)."""
        house = self.house
        payment = self.pay("corrected", 2, amount_fen=50_000)
        house.settle(payment, "Declined", resp_code="E12", reason="biller-refused")
        house.settle(self.pay("spender", 2, amount_fen=190_000))
        proof = {"paid_fen": 50_000, "biller_serial": "W771204"}
        house.batch([house.evidence(house.order_of(payment), "Paid", source="file", raw=b"line", **proof)])
        house.deposit(2, 70_000)

    def _written(self) -> None:
        house = self.house
        payment = self.pay("written", service="meters.card")
        house.settle(payment)
        house.batch([house.keyed(items.ReportWrite, gateway_serial=payment.gateway_serial, written=True)])
        house.batch([house.reply_of(house.send(payment, "WRITE_CONFIRM"), "Paid")])

    def _sign(self) -> None:
        made = datetime.fromtimestamp(NOON / 1000, UTC) - timedelta(days=1)
        issuing = make_issuing(make_root("示范县邮政局", made), made)
        key = make_key()
        archive = issue(issuing, Role.ARCHIVE, key.public_key(), operator="archive", now=made)
        register = items.RegisterCertificate(
            keyid=archive.keyid,
            der=archive.der,
            role="archive",
            public_key_sha256=archive.public_key_sha256,
            not_before=int(archive.not_before.timestamp()) * 1000,
            not_after=int(archive.not_after.timestamp()) * 1000,
        )
        self.house.ask(register, items.Kept)
        ((day, statement),) = self.house.sql("SELECT day, statement FROM seals")
        signature = PemSigner(archive, key).sign(statement)
        self.house.ask(chores.SignDay(day=day, keyid=archive.keyid, signature=signature), items.Kept)

    def names(self) -> dict[str, str]:
        """Serials by what became of them, and what else the SQL of a test may want to name."""
        named = {name.replace("-", "_"): payment.gateway_serial for name, payment in self.payments.items()}
        return named | {"station": code(1), "keyid": keyid(1)}

    def stale_record(self) -> rows.Record:
        """A true record of a time long before the newest sealed one."""
        return make_record(
            kind="notice",
            record_id="R-STALE",
            now=self.house.now - 400_000,
            institution_code=None,
            gateway_serial=None,
            body=json.dumps({"late": True}).encode(),
        )
