"""A book on a real SQLite file with a clock that stands still, and short ways to ask it things."""

import itertools
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from certs.core.headers import content_digest
from contracts.manifest import Manifest
from contracts.strict_json import canonical
from gateway.core import items, leases, rows
from gateway.core.env import Env
from gateway.core.fingerprints import request_hash
from gateway.core.held import SEALER, Held
from gateway.core.units import ITEM_TYPE, READ_UNITS, REPLY_TYPE, UNITS
from gateway.ops.roles import load_rights
from gateway.store.migrations.upgrade import upgrade
from gateway.store.port import StoreError, Units
from gateway.store.shapes import shape_of
from gateway.store.sqlite.engine import SqliteEngine
from tests.stand.billers import ACME, METERS

T = TypeVar("T")
R = TypeVar("R", bound=rows.Row)
NOON = 1_795_492_800_000  # 2026-11-24T04:00:00Z, noon at the bureau
UNITS_OF_THE_HOUSE = Units(units=UNITS, read_units=READ_UNITS, item_type=ITEM_TYPE, reply_type=REPLY_TYPE)
YEAR_MS = 366 * 86_400_000
_NO_MEMBERS = frozenset({"closed_for_s"})
"""Fields of an acceptance that the front adds to what the terminal sent."""
_PATHS = {items.Cancel: "cancellations", items.Refund: "refunds", items.ReportWrite: "card-writes"}


class House:
    """Stations "460000NN" with certificate "NN"*32, every service open; ask() runs one item and returns its reply."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        stations: int = 2,
        deposit_fen: int = 500_000,
        manifests: Sequence[Manifest] = (ACME, METERS),
        prices: Mapping[str, Any] | None = None,
        durable: bool = True,
        now: int = NOON,
    ) -> None:
        """prices: changes to every service's price. durable=False: no fsync, for tests that need many commits."""
        self.now = now
        self.env = Env(
            zone=ZoneInfo("Asia/Shanghai"), manifests={each.name: each for each in manifests}, rights=load_rights()
        )
        self.random = random.Random(seed)
        self._counter = itertools.count(1)
        path = folder / "book.db"
        path.write_bytes(_empty_book())
        self.path = path
        self._durable = durable
        self.engine = self.open_engine()
        opening = [self._price(service, **(prices or {})) for service in self.env.billers]
        opening += [self._station(number) for number in range(1, stations + 1)]
        if deposit_fen:
            opening += [self._deposit(number, deposit_fen) for number in range(1, stations + 1)]
        assert all(isinstance(reply, items.Kept) for reply in self.batch(opening))

    def open_engine(self) -> SqliteEngine:
        """A new engine on the house's file, with the house's clock."""
        engine = SqliteEngine(self.path, UNITS_OF_THE_HOUSE, self.env, now_ms=lambda: self.now)
        engine.open()
        if not self._durable:
            engine.connection.execute("PRAGMA synchronous = OFF")
        return engine

    def reopen(self) -> None:
        """As after a crash of the process: what was committed is all there is."""
        self.engine.close()
        self.engine = self.open_engine()

    def trust(self, bureau: Any) -> None:
        """The bureau's CA is the installation's own."""
        self.env = bureau.known_to(self.env)
        self.reopen()

    def retire(self, biller: str) -> None:
        """The biller leaves the configuration; its payments stay."""
        self.env = Env(zone=self.env.zone, manifests={k: v for k, v in self.env.manifests.items() if k != biller})
        self.reopen()

    def close(self) -> None:
        self.engine.close()

    # asking

    def batch(self, asked: Sequence[Any]) -> list[Any]:
        """Replies of one commit; a StoreError is raised."""
        replies = self.engine.execute(asked).replies
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        return replies

    def ask(self, item: Any, kind: type[T]) -> T:
        """The reply of one item, of this kind."""
        (reply,) = self.batch([item])
        assert isinstance(reply, kind), reply
        return reply

    def look(self, item: Any, kind: type[T]) -> T:
        reply = self.engine.look(item)
        assert isinstance(reply, kind), reply
        return reply

    def sql(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        return list(self.engine.connection.execute(sql, params))

    def rewrite(self, table: str, changes: str, *params: object) -> None:
        """UPDATE what no unit ever changes, past the triggers that keep it."""
        self.sql(f"DROP TRIGGER IF EXISTS {table}_no_update")
        self.sql(f"UPDATE {table} SET {changes}", *params)

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1000)

    def rows_of(self, kind: type[R], where: str = "1 = 1", *params: object) -> list[R]:
        """Rows of a table as structs, by primary key."""
        shape = shape_of(kind)
        sql = f"SELECT {', '.join(shape.names)} FROM {kind.TABLE} WHERE {where} ORDER BY {', '.join(kind.KEY)}"
        return [shape.build(values) for values in self.sql(sql, *params)]  # type: ignore[misc]

    # making items

    def entropy(self) -> int:
        return self.random.getrandbits(64)

    def arrival(self, station: int = 1, **changes: Any) -> items.Arrival:
        number = next(self._counter)
        values: dict[str, Any] = {
            "arrival_id": f"a-{number}",
            "entropy": self.entropy(),
            "keyid": keyid(station),
            "nonce": f"nonce-{number:012d}",
            "created": self.now // 1000,
            "expires": self.now // 1000 + 300,
            "base": _base("GET", "/v1/time", b"", ""),
            "signature": b"signature",
            "body": b"",
            "trace_id": f"{number:032x}",
        }
        return items.Arrival(**(values | changes))

    def accept(self, station: int = 1, *, key: str | None = None, arrival: Any = None, **changes: Any) -> items.Accept:
        values: dict[str, Any] = {
            "service": "acme.bill",
            "biller_account": "10001",
            "amount_fen": 10_000,
            "terminal_trace": "000001",
        }
        values |= changes
        body = {name: value for name, value in values.items() if name not in _NO_MEMBERS}
        if "params" in body:
            body["params"] = json.loads(body["params"])
        return items.Accept(**self._asked(station, "/v1/payments", body, key, arrival), **values)

    def keyed(self, kind: Any, station: int = 1, key: str | None = None, **fields: Any) -> Any:
        """A cancel, refund or card-write item."""
        body = {name: value for name, value in fields.items() if name != "gateway_serial"}
        if "written" in body:
            body["result"] = "ok" if body.pop("written") else "failed"
        path = f"/v1/payments/{fields['gateway_serial']}/{_PATHS[kind]}"
        return kind(**self._asked(station, path, body, key, None), **fields)

    def again(self, item: Any, station: int) -> items.Arrival:
        """The same request once more, signed anew."""
        return self.arrival(station, base=item.arrival.base, body=item.arrival.body)

    def _asked(self, station: int, path: str, members: Any, key: str | None, arrival: Any) -> dict[str, Any]:
        """Arrival, key and hash of a POST with these members; what an arrival brought already stays as it is."""
        key = key or f"key-{next(self._counter):012d}"
        if arrival is None or not arrival.body:
            body = canonical(members)
            signed = {"body": body, "base": _base("POST", path, body, key)}
            arrival = replace(arrival, **signed) if arrival is not None else self.arrival(station, **signed)
        return {"arrival": arrival, "key": key, "request_hash": request_hash("POST", path, members)}

    def claim(self, order: rows.Order, *, repeat: bool = False) -> items.Claim:
        return items.Claim(
            gateway_serial=order.gateway_serial,
            order_serial=order.order_serial,
            worker="w-1",
            entropy=self.entropy(),
            repeat=repeat,
        )

    def reply_of(self, granted: items.Granted, kind: str, **answer: Any) -> items.Judge:
        """The answer of the call that `granted` allowed."""
        return items.Judge(
            source="reply",
            entropy=self.entropy(),
            answer=items.Answer(kind=kind, **answer),
            gateway_serial=granted.order.gateway_serial,
            order_serial=granted.order.order_serial,
            attempt_id=granted.attempt_id,
        )

    def evidence(self, order: rows.Order, kind: str, *, source: str = "query", **answer: Any) -> items.Judge:
        return items.Judge(
            source=source,
            entropy=self.entropy(),
            answer=items.Answer(kind=kind, **answer),
            gateway_serial=order.gateway_serial,
            order_serial=order.order_serial,
        )

    def hold(self, name: str, owner: str = "a") -> Held:
        """A lease that is free, or its owner's."""
        (held,) = self.ask(leases.HoldLeases(owner=owner, names=[name]), leases.LeasesHeld).held
        return held

    def seal(self, owner: str = "a", **fields: Any) -> items.Sealed:
        """The sealer's work, under its lease."""
        return self.ask(items.Seal(under=self.hold(SEALER, owner), **fields), items.Sealed)

    # short ways

    def _price(self, service: str, **changes: Any) -> Any:
        values: dict[str, Any] = {
            "version": "V1",
            "service": service,
            "effective_from": "2026-01-01",
            "fee_fen": 100,
            "min_fen": 100,
            "max_fen": 5_000_000,
            "rate_ppm": 15_000,
            "reverse_after_s": 900,
        }
        return items.SetPrices(**(values | changes))

    def _station(self, number: int, **changes: Any) -> Any:
        values: dict[str, Any] = {
            "institution_code": code(number),
            "name": f"站{number}",
            "terminal_id": "T1",
            "operator_id": "0001",
            "operator_name": "张三",
            "certificate_der": b"der",
            "keyid": keyid(number),
            "public_key_sha256": keyid(number),
            "not_before": self.now - 86_400_000,
            "not_after": self.now + YEAR_MS,
            "services": list(self.env.billers),
            "trained_until": self.now + YEAR_MS,
        }
        return items.AddStation(**(values | changes))

    def _deposit(self, number: int, amount_fen: int) -> Any:
        return items.Deposit(
            institution_code=code(number),
            amount_fen=amount_fen,
            voucher_number=f"V{next(self._counter)}",
            outlet="370001",
            taken_by="0001",
            entropy=self.entropy(),
        )

    def set_price(self, service: str, **changes: Any) -> None:
        self.ask(self._price(service, **changes), items.Kept)

    def add_station(self, number: int, **changes: Any) -> None:
        self.ask(self._station(number, **changes), items.Kept)

    def deposit(self, number: int, amount_fen: int) -> None:
        self.ask(self._deposit(number, amount_fen), items.Kept)

    def pay(self, station: int = 1, **changes: Any) -> rows.Payment:
        """An accepted payment."""
        return self.ask(self.accept(station, **changes), items.Taken).payment

    def order_of(self, payment: rows.Payment, kind: str | None = None) -> rows.Order:
        """The payment's newest order of a kind (default: any)."""
        fields = rows.Order.__struct_fields__
        sql = f"SELECT {', '.join(fields)} FROM orders WHERE gateway_serial = ? ORDER BY order_serial DESC"
        for values in self.sql(sql, payment.gateway_serial):
            order = rows.Order(**dict(zip(fields, values, strict=True)))
            if kind is None or order.kind == kind:
                return order
        raise LookupError(kind)

    def send(self, payment: rows.Payment, kind: str | None = None) -> items.Granted:
        """A granted claim of the payment's newest order."""
        return self.ask(self.claim(self.order_of(payment, kind)), items.Granted)

    def settle(self, payment: rows.Payment, kind: str = "Paid", **answer: Any) -> rows.Payment:
        """Claim and answer in one go."""
        if kind == "Paid":
            answer = {"paid_fen": payment.amount_fen, "biller_serial": f"B{payment.gateway_serial}"} | answer
        judged = self.ask(self.reply_of(self.send(payment), kind, **answer), items.Judged)
        assert judged.payment is not None
        return judged.payment

    def now_of(self, payment: rows.Payment) -> rows.Payment:
        """The payment as it is now."""
        from gateway.core import views

        return self.look(views.PeekPayment(gateway_serial=payment.gateway_serial), items.Taken).payment

    def balance(self, number: int = 1) -> tuple[int, int, int]:
        """Available, reserved, receivable."""
        sql = "SELECT available_fen, reserved_fen, receivable_fen FROM station_balances WHERE institution_code = ?"
        ((available, reserved, receivable),) = self.sql(sql, code(number))
        return available, reserved, receivable


@cache
def _empty_book() -> bytes:
    """A file as the migrations make it, made once per process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        upgrade(f"sqlite:///{path}")
        return path.read_bytes()


def _base(method: str, path: str, body: bytes, key: str) -> bytes:
    """The lines of a signature base that the book's own checks read; nobody signed it."""
    lines = {"@method": method, "@path": path, "content-digest": content_digest(body)}
    if key:
        lines["idempotency-key"] = key
    return "\n".join(f'"{name}": {value}' for name, value in lines.items()).encode()


def code(number: int) -> str:
    return f"460000{number:02d}"


def keyid(number: int) -> str:
    return f"{number:02x}" * 32
