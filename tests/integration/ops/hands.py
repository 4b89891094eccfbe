"""An installation on either engine with a payment in it, for the commands of operations staff."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import make_url

from gateway.config import build_env, find_adapters, load_config
from gateway.core import items, rows
from gateway.ops.certs.book import rows_of
from gateway.ops.desk import Desk as Book
from gateway.ops.desk import open_desk
from gateway.store.sqlite.connection import open_writer
from tests.integration.certs.desk import Desk, say
from tests.stand.stores import Asker
from tests.stand.windows import never_closed

T = TypeVar("T")
CODE = "33078200017"
ACCOUNT = "13805791357"
PARAMS = '{"carrier":"cmcc"}'


class Site(Desk):
    """dsn: of an empty database; None: SQLite."""

    def __init__(self, folder: Path, dsn: str | None = None) -> None:
        self.folder, self.dsn = folder, dsn
        words = ["init", str(folder)]
        if dsn is not None:
            url = make_url(dsn)
            (folder.parent / "password").write_text("unused\n")
            words += ["--engine", "postgresql", "--host", f"{url.host}:{url.port}", "--database", str(url.database)]
            words += ["--user", str(url.username), "--password-file", str(folder.parent / "password")]
        code, _, err = say(words)
        assert code == 0, err
        self.config = str(folder / "bianmin.toml")
        never_closed(folder / "bianmin.toml")
        self._adapters = find_adapters()
        self._config = load_config(Path(self.config), self._adapters)
        self.env = build_env(self._config, self._adapters)
        self.make = Asker(self.env)
        deposit = ("station", "deposit", CODE, "20000", "--voucher", "V1", "--outlet", "1", "--by", "1")
        assert say([*deposit, "--config", self.config])[0] == 0
        ((self.keyid,),) = self.sql(f"SELECT keyid FROM bindings WHERE institution_code = '{CODE}'")

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Plain SQL past everything."""
        if self.dsn is not None:
            return asyncio.run(self._sql(text))
        connection = open_writer(self.folder / "var/bianmin.db")
        try:
            return list(connection.execute(text).fetchall())
        finally:
            connection.close()

    async def _sql(self, text: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    def with_book(self, use: Callable[[Book], Coroutine[Any, Any, T]]) -> T:
        async def open_and_use() -> T:
            async with open_desk(self._config, self.env) as book:
                return await use(book)

        return asyncio.run(open_and_use())

    def run(self, item: Any) -> Any:
        """The reply to one item."""
        return self.with_book(lambda book: book.run(item))

    def accept(self, **fields: Any) -> Any:
        """The reply to a payment of the station."""
        self.make.now = int(time.time() * 1000)
        arrival = self.make.arrival(keyid=self.keyid, arrival_id=secrets.token_hex(8), nonce=secrets.token_hex(12))
        values: dict[str, Any] = {
            "service": "mobile.topup",
            "biller_account": ACCOUNT,
            "amount_fen": 10_000,
            "params": PARAMS,
        } | fields
        return self.run(self.make.accept(arrival=arrival, key=secrets.token_hex(12), **values))

    def pay(self, **fields: Any) -> rows.Payment:
        taken = self.accept(**fields)
        assert isinstance(taken, items.Taken), taken
        return taken.payment

    def answer(self, payment: rows.Payment, kind: str, **fields: Any) -> rows.Payment:
        """Claimed, called, and answered so."""
        granted = self.run(self.make.claim(self.order(payment)))
        assert isinstance(granted, items.Granted), granted
        judged = self.run(self.make.reply_of(granted, kind, **fields))
        return judged.payment  # type: ignore[no-any-return]

    def in_doubt(self, *, hours: int = 0, **fields: Any) -> rows.Payment:
        payment = self.answer(self.pay(**fields), "Unknown")
        serial = payment.gateway_serial
        self.sql(
            f"UPDATE payments SET in_doubt_since = in_doubt_since - {hours * 3_600_000}"
            f" WHERE gateway_serial = '{serial}' AND in_doubt_since IS NOT NULL RETURNING gateway_serial"
        )
        return payment

    def order(self, payment: rows.Payment) -> rows.Order:
        where = {"serial": payment.gateway_serial}
        found = self.with_book(lambda book: rows_of(book, rows.Order, "gateway_serial = :serial", where))
        return found[-1]

    def payment(self, payment: rows.Payment) -> rows.Payment:
        where = {"serial": payment.gateway_serial}
        (found,) = self.with_book(lambda book: rows_of(book, rows.Payment, "gateway_serial = :serial", where))
        return found
