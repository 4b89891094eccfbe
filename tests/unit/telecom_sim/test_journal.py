"""The durable book by itself: what durable() promises, and what happens when the disk says no."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from adapters.kit.book import Journal, JournalBrokenError
from adapters.telecom.simulator import Options, start
from tests.unit.telecom_sim.agent import AT, AgentClient, number


class Note(msgspec.Struct):
    text: str


def stored(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return [row[0] for row in db.execute("SELECT body FROM document ORDER BY key, seq")]
    finally:
        db.close()


async def test_durable_means_committed(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    journal = Journal(path)
    journal.open()
    first, second = Note("a"), Note("b")
    journal.put("note", "1", 1, first)
    journal.put("note", "1", 2, second)
    second.text = "c"
    assert stored(path) == [], "one commit for one turn of the loop"
    await asyncio.gather(journal.durable(), journal.durable())
    assert stored(path) == ['{"text":"a"}', '{"text":"c"}']
    journal.put("note", "1", 1, Note("d"))
    journal.close()
    journal.close()
    assert stored(path) == ['{"text":"d"}', '{"text":"c"}']


async def test_no_answer_before_the_commit(tmp_path: Path) -> None:
    """While the file cannot be written, neither the payment nor a question about it is answered."""
    path = tmp_path / "book.db"
    running = await start(Options(book=path, fixed_at=AT))
    lock = sqlite3.connect(path, isolation_level=None)
    try:
        agent = AgentClient(running)
        members = await agent.pay_members(number(1))
        lock.execute("BEGIN IMMEDIATE")
        calls = [asyncio.ensure_future(agent.call("bill/pay", **members))]
        await asyncio.sleep(0.1)
        calls.append(asyncio.ensure_future(agent.order(number(1))))
        await asyncio.sleep(0.2)
        assert not any(call.done() for call in calls)
        assert stored(path) == []
        lock.execute("ROLLBACK")
        paid, found = await asyncio.gather(*calls)
        assert (paid["code"], found["state"], len(stored(path))) == ("0000", "2", 1)
    finally:
        lock.close()
        await running.close()


async def test_settings_that_survive_a_crash() -> None:
    journal = Journal(None)
    journal.open()
    assert journal._db is not None
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


async def test_a_disk_that_fails_ends_all_answers(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    journal = Journal(path)
    journal.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert journal._db is not None
    journal._db.execute("PRAGMA busy_timeout=10")
    journal.put("note", "1", 1, Note("a"))
    with pytest.raises(JournalBrokenError):
        await journal.durable()
    other.close()
    with pytest.raises(JournalBrokenError):
        journal.put("note", "2", 1, Note("b"))
    with pytest.raises(JournalBrokenError):
        await journal.durable()
    with pytest.raises(JournalBrokenError):
        journal.close()
