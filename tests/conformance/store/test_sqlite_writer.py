"""The writer process: alone on its file, robust against its peers, and honest when it dies."""

import asyncio
import os
import random
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.store.migrations import upgrade
from gateway.store.port import ItemTooLarge, StoreBusy, StoreError, StoreRefused, UnitFailed
from gateway.store.sqlite.address import socket_path
from gateway.store.sqlite.engine import SqliteEngine
from gateway.store.sqlite.frames import ITEMS_MAX_BYTES
from gateway.store.sqlite.process import WriterProcess
from gateway.store.sqlite.store import SqliteStore
from tests.conformance.store import toys
from tests.conformance.store.conftest import SqliteBook
from tests.conformance.store.toys import serial

CHILD = """
import os, sys, time
from pathlib import Path
from gateway.store.sqlite.process import WriterProcess
from tests.conformance.store import toys
writer = WriterProcess(Path(sys.argv[1]), toys.UNITS, None)
writer.start()
# Another child holds what this process had open, as a further front does.
other = os.fork()
if not other:
    time.sleep(60)
    os._exit(0)
print(writer.pid, other, flush=True)
time.sleep(60)
"""


def pay(number: int, **changes: Any) -> toys.Pay:
    given = {"arrival_id": f"a{number}", "key": f"key-{number}", "serial": serial(number), "account": f"A{number}"}
    return toys.Pay(**{**given, **changes})


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(500):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if status == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_second_writer_stops_at_start(sqlite_book: SqliteBook) -> None:
    second = WriterProcess(sqlite_book.path, toys.UNITS, None)
    with pytest.raises(StoreRefused, match=f"served already, by process {sqlite_book.writer.pid}"):
        second.start()
    assert not second.alive()
    assert sqlite_book.writer.alive()
    assert socket_path(sqlite_book.path).exists()


def test_only_its_owner_may_speak_to_the_writer(sqlite_book: SqliteBook) -> None:
    assert stat.S_IMODE(socket_path(sqlite_book.path).stat().st_mode) == 0o600


async def test_a_database_may_lie_deep(sqlite_file: Path) -> None:
    """The address of a socket holds 107 bytes; the folder's path does not count."""
    deep = sqlite_file.parent / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    upgrade(f"sqlite:///{deep / 'book.db'}")
    writer = WriterProcess(deep / "book.db", toys.UNITS, None)
    writer.start()
    try:
        store = SqliteStore(deep / "book.db", toys.UNITS, None)
        await store.open()
        assert writer.alive()
        await store.close()
    finally:
        writer.stop()


def test_a_name_too_long_for_a_socket_is_refused(sqlite_file: Path) -> None:
    with pytest.raises(StoreRefused, match="too long"):
        WriterProcess(sqlite_file.parent / ("x" * 120), toys.UNITS, None).start()


def test_the_writer_outlives_no_parent(sqlite_file: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, str(sqlite_file)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, other = map(int, parent.stdout.readline().split())
        parent.kill()
        parent.wait()
    try:
        assert gone(pid)
    finally:
        os.kill(other, signal.SIGKILL)
    # Its lock went with it.
    book = SqliteBook(sqlite_file)
    book.writer.start()
    book.writer.stop()


async def test_signals_to_the_group_do_not_cut_off_the_drain(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as store:
        os.kill(sqlite_book.writer.pid, signal.SIGTERM)
        os.kill(sqlite_book.writer.pid, signal.SIGINT)
        assert (await store.run(pay(1))).text == serial(1)


async def test_stop_answers_what_it_was_given(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as store:
        waiting = [asyncio.ensure_future(store.run(pay(number))) for number in range(300)]
        await asyncio.sleep(0.02)
        await asyncio.to_thread(sqlite_book.writer.stop)
        replies = await asyncio.gather(*waiting)
    assert [reply.text for reply in replies] == [serial(number) for number in range(300)]


async def test_a_dead_writer_leaves_items_in_doubt_and_a_new_one_is_found(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as store:
        with pytest.raises(StoreBusy) as caught:
            await store.run(pay(1, fault="die"))
        assert caught.value.in_doubt
        with pytest.raises(StoreBusy) as caught:
            await store.run(pay(2))
        assert not caught.value.in_doubt
        sqlite_book.writer.stop()
        sqlite_book.writer.start()
        for _ in range(100):
            try:
                assert (await store.run(pay(3))).text == serial(3)
                break
            except StoreBusy:
                await asyncio.sleep(0.05)
        assert await sqlite_book.sql("SELECT gateway_serial FROM payments") == [(serial(3),)]


@pytest.mark.parametrize("seed", range(5))
async def test_kill_9_at_any_moment_leaves_nothing_half_done(sqlite_book: SqliteBook, seed: int) -> None:
    """Answered items are there whole; items in doubt are there whole or not at all; done again they are there once."""
    random_ms = random.Random(seed).randint(1, 60)
    async with sqlite_book.open() as store:
        waiting = [asyncio.ensure_future(store.run(pay(number))) for number in range(400)]
        await asyncio.sleep(random_ms / 1000)
        os.kill(sqlite_book.writer.pid, signal.SIGKILL)
        replies = await asyncio.gather(*waiting, return_exceptions=True)
    answered = {reply.text for reply in replies if isinstance(reply, toys.Done)}
    assert all(isinstance(reply, StoreBusy) and reply.in_doubt for reply in replies if not isinstance(reply, toys.Done))
    stored = {row[0] for row in await sqlite_book.sql("SELECT gateway_serial FROM payments")}
    assert answered <= stored
    await _whole(sqlite_book, len(stored))
    sqlite_book.writer.stop()
    sqlite_book.writer.start()
    async with sqlite_book.open() as store:
        again = await asyncio.gather(*(store.run(pay(number)) for number in range(400)))
    assert [reply.text for reply in again] == [serial(number) for number in range(400)]
    await _whole(sqlite_book, 400)


async def _whole(book: SqliteBook, count: int) -> None:
    for table in ("payments", "orders", "transactions", "outbox", "idempotency_keys", "nonces", "records"):
        assert await book.sql(f"SELECT count(*) FROM {table}") == [(count,)]
    assert await book.sql("SELECT count(*) FROM postings") == [(2 * count,)]
    assert await book.sql("SELECT reserved_fen, version FROM station_balances") == [(100 * count, count)]
    assert await book.sql("PRAGMA integrity_check") == [("ok",)]


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


GARBAGE = {
    "oversize": struct.pack(">I", ITEMS_MAX_BYTES + 1) + b"x" * 100,
    "not-msgpack": _frame(b"\xc1" * 10),
    "not-items": _frame(msgspec.msgpack.encode({"a": 1})),
    "unknown-item": _frame(msgspec.msgpack.encode([(1, {"type": "Evil"})])),
    "wrong-type": _frame(msgspec.msgpack.encode([(1, {"type": "Draw", "biller": 5, "day": "d"})])),
    "deep": _frame(b"\x91" * 100_000),
    "random": random.Random(7).randbytes(5_000),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_ends_only_its_own_connection(sqlite_book: SqliteBook, kind: str) -> None:
    async with sqlite_book.open() as store:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(socket_path(sqlite_book.path)))
            peer.sendall(GARBAGE[kind])
            if kind == "random":
                peer.shutdown(socket.SHUT_WR)
            assert await asyncio.to_thread(peer.recv, 1) == b""
        assert (await store.run(pay(1))).text == serial(1)
    assert sqlite_book.writer.alive()


async def test_a_cut_frame_does_nothing(sqlite_book: SqliteBook) -> None:
    whole = _frame(msgspec.msgpack.encode([(1, pay(1))]))
    for length in (1, 3, 4, 20, len(whole) - 1):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(socket_path(sqlite_book.path)))
            peer.sendall(whole[:length])
    async with sqlite_book.open() as store:
        assert (await store.run(pay(2))).text == serial(2)
    assert await sqlite_book.sql("SELECT gateway_serial FROM payments") == [(serial(2),)]


async def test_a_frame_in_pieces_is_one(sqlite_book: SqliteBook) -> None:
    whole = _frame(msgspec.msgpack.encode([(7, pay(1))]))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(socket_path(sqlite_book.path)))
        for at in range(0, len(whole), 9):
            peer.sendall(whole[at : at + 9])
            await asyncio.sleep(0.001)
        answer = await asyncio.to_thread(peer.recv, 65_536)
    (number, reply), *_ = msgspec.msgpack.decode(answer[4:])[0]
    assert (number, reply["text"]) == (7, serial(1))


async def test_what_cannot_cross_is_refused_alone(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as store:
        replies = await asyncio.gather(
            store.run(pay(1)),
            store.run(pay(2, token="x" * (ITEMS_MAX_BYTES + 1))),
            store.run(pay(3, token="\ud800")),
            store.run(pay(4)),
            return_exceptions=True,
        )
    assert isinstance(replies[1], ItemTooLarge)
    assert isinstance(replies[2], UnitFailed)
    assert [replies[0].text, replies[3].text] == [serial(1), serial(4)]  # type: ignore[union-attr]


async def test_many_large_items_take_several_frames(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as store:
        items = [pay(number, token=f"{number}" + "x" * 3_000_000) for number in range(12)]
        replies = await asyncio.gather(*(store.run(item) for item in items))
    assert [reply.text for reply in replies] == [serial(number) for number in range(12)]


async def test_a_command_may_write_while_the_writer_runs(sqlite_book: SqliteBook) -> None:
    """An engine in this process, as a command has one, against the writer process: both get through."""
    done: list[Any] = []

    def command() -> None:
        engine = SqliteEngine(sqlite_book.path, toys.UNITS, None)
        engine.open()
        for number in range(10_000, 10_050):
            done.extend(engine.execute([pay(number)]).replies)
        engine.close()

    thread = threading.Thread(target=command)
    async with sqlite_book.open() as store:
        thread.start()
        replies = await asyncio.gather(*(store.run(pay(number)) for number in range(1_000)), return_exceptions=True)
        await asyncio.to_thread(thread.join)
    assert not [reply for reply in [*replies, *done] if isinstance(reply, BaseException)]
    await _whole(sqlite_book, 1_050)


async def test_a_lock_held_too_long_is_busy(sqlite_file: Path) -> None:
    holder = sqlite3.connect(sqlite_file, isolation_level=None)
    engine = SqliteEngine(sqlite_file, toys.UNITS, None, busy_timeout_ms=50)
    engine.open()
    try:
        holder.execute("BEGIN IMMEDIATE")
        (reply,) = engine.execute([pay(1)]).replies
        assert isinstance(reply, StoreBusy)
        assert not reply.in_doubt
        holder.execute("ROLLBACK")
        (reply,) = engine.execute([pay(1)]).replies
        assert not isinstance(reply, StoreError)
    finally:
        engine.close()
        holder.close()


async def test_two_gateways_hear_of_each_others_messages(sqlite_book: SqliteBook) -> None:
    async with sqlite_book.open() as one, sqlite_book.open() as two:
        told: list[str] = []
        two.listen(lambda rows: told.extend(row.message_id for row in rows))
        await one.run(pay(1))
        for _ in range(100):
            if told:
                break
            await asyncio.sleep(0.01)
    assert told == [serial(1)]
