"""Whether a process should be sent requests: it looks at its book, and waits for no book that is away."""

import asyncio

import pytest

from gateway import readiness
from gateway.core.views import PeekDay
from gateway.readiness import Readiness
from gateway.store.port import StoreBusy


class Book:
    """The little of a Store that readiness needs. answers None: it never does."""

    def __init__(self) -> None:
        self.answers: bool | None = True
        self.why_lost: str | None = None
        self.waiting, self.asked = 0, 0

    def depth(self) -> int:
        return self.waiting

    def lost(self) -> str | None:
        return self.why_lost

    async def look(self, item: object) -> object:
        assert isinstance(item, PeekDay)
        self.asked += 1
        if self.answers is None:
            await asyncio.Event().wait()
        if not self.answers:
            raise StoreBusy("away")
        return item


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.02)
    return Book()


def _ready(book: Book, *, draining: bool = False) -> Readiness:
    return Readiness(book, 100, lambda: draining)  # type: ignore[arg-type]


async def test_all_is_well(book: Book) -> None:
    assert await _ready(book).reasons() == []


async def test_each_reason_is_told(book: Book) -> None:
    book.answers, book.waiting = False, 51
    assert await _ready(book, draining=True).reasons() == [
        "draining", "51 requests wait for the book", "the book does not answer",
    ]  # fmt: skip


async def test_a_book_that_is_lost_is_not_asked(book: Book) -> None:
    book.why_lost = "an older copy"
    assert await _ready(book).reasons() == ["an older copy"]
    assert book.asked == 0


async def test_a_book_that_hangs_is_asked_once_however_many_ask_us(book: Book) -> None:
    book.answers = None
    ready = _ready(book)
    found = await asyncio.gather(*(ready.reasons() for _ in range(5)))
    assert found == [["the book does not answer"]] * 5
    assert book.asked == 1
    await ready.close()


async def test_it_is_ready_again_when_the_book_is_back(book: Book) -> None:
    book.answers = False
    ready = _ready(book)
    assert await ready.reasons() != []
    book.answers = True
    assert await ready.reasons() == []
