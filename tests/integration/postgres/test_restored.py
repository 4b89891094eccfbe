"""An older backup comes back under a partner whose book went on (M4).

What the copy knew is asked about until both books agree. What was taken after the copy is in no book of ours: the
partner's day file finds it (matching), and until then the difference of the books says exactly which it is.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.cli import run
from tests.integration.postgres.stand import BaseBackup, PostgresStand
from tests.stand.gateway import Stand, burst
from tests.stand.postgres import PostgresServer

pytestmark = pytest.mark.slow
SLOW = {"faults": [{"on": "topup/order", "kind": "slow", "delay_s": 0.7, "times": None}]}
BEFORE, AFTER = 15, 10
SECOND_FEN = 2000


def restored(stand: Stand) -> int:
    return run(["db", "restored", "--yes", "--config", str(stand.config_file)])


def _paid_later(stand: Stand) -> set[str]:
    """The partner's numbers of what was paid after the backup."""
    columns = "SELECT o.partner_serial FROM payments p JOIN orders o ON o.order_serial = p.gateway_serial"
    return {number for (number,) in stand.sql(f"{columns} WHERE p.state = 'SUCCESS' AND p.amount_fen = {SECOND_FEN}")}


def lived(stand: Stand, restore: Callable[[], Callable[[], None]]) -> set[str]:
    """Payments before and after a backup, the backup in their midst; then the backup is all there is.

    restore: makes the backup and gives what puts it in place. The answer: what was paid after it.
    """
    stand.deposit("9000", "V1")
    stand.sql("UPDATE tariffs SET send_before_s = 4")
    stand.control("faults", SLOW)
    stand.start()
    early = threading.Thread(target=lambda: asyncio.run(burst(stand.shop(), BEFORE)))
    early.start()
    while stand.sql("SELECT count(*) FROM payments WHERE state IN ('RESERVED', 'SENT')")[0][0] < BEFORE // 2:
        pass
    # However long the backup takes, it is of this moment.
    os.kill(stand.pid, signal.SIGSTOP)
    try:
        back = restore()
    finally:
        os.kill(stand.pid, signal.SIGCONT)
    early.join()
    stand.settle(30)
    while not (later := _paid_later(stand)):
        # The partner's breaker may be open for a moment, after calls that stood still with the gateway.
        asyncio.run(burst(stand.shop(), AFTER, amount_fen=SECOND_FEN))
        stand.settle(30)
    assert restored(stand) == 1, "it is served"
    stand.kill()
    back()
    return later


def made_safe(stand: Stand) -> None:
    """The operator's command; then everything is decided by asking."""
    assert stand.sql("SELECT count(*) FROM orders WHERE state IN ('READY', 'SENT')")[0][0] > 0
    assert stand.audit().ok
    assert restored(stand) == 0
    assert stand.sql("SELECT count(*) FROM orders WHERE state IN ('READY', 'SENT')")[0][0] == 0
    assert stand.audit().ok
    stand.sql("UPDATE settings SET value = 1 WHERE name = 'restoring'")
    with pytest.raises(RuntimeError, match="serve ended"):
        stand.start()
    assert restored(stand) == 0
    stand.start()
    stand.settle(60)
    stand.stop()
    assert stand.audit().ok


def compare(stand: Stand, later: set[str]) -> None:
    """Both books agree on every payment that ours has; what theirs has more was paid after the backup."""
    ours, theirs = stand.our_book(), stand.their_book()
    known = {number for (number,) in stand.sql("SELECT partner_serial FROM orders")}
    assert ours == {number: fen for number, fen in theirs.items() if number in known}
    lost = {number: fen for number, fen in theirs.items() if number not in known}
    # Besides these only some of the first burst, which the copy was too early for.
    assert {number for number, fen in lost.items() if fen == SECOND_FEN} == later


def test_on_sqlite(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        book, copy = tmp_path / "pilot/var/bianmin.db", tmp_path / "copy.db"

        def change(text: str) -> None:
            with closing(sqlite3.connect(book)) as connection:
                connection.execute(text)
                connection.commit()

        def restore() -> Callable[[], None]:
            with closing(sqlite3.connect(book)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)

            def back() -> None:
                for ending in ("-wal", "-shm"):
                    book.with_name(book.name + ending).unlink(missing_ok=True)
                shutil.copyfile(copy, book)

            return back

        stand_sql = stand.sql

        def sql(text: str, *values: object) -> list[tuple[object, ...]]:
            if text.startswith("SELECT"):
                return stand_sql(text, *values)
            change(text)
            return []

        stand.sql = sql  # type: ignore[method-assign]
        later = lived(stand, restore)
        made_safe(stand)
        compare(stand, later)


@pytest.mark.postgres
def test_on_postgresql(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer(durable=True))
        stand = stack.enter_context(PostgresStand(tmp_path, server))

        def restore() -> Callable[[], None]:
            backup = stack.enter_context(BaseBackup(server))

            def back() -> None:
                server.kill()
                backup.restore()

            return back

        later = lived(stand, restore)
        made_safe(stand)
        compare(stand, later)
