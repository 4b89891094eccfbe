"""Running a unit of work: the same for both engines but for who answers its steps."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.core.steps import Now, Read, Scan, Step, Work

T = TypeVar("T")


def drive(work: Work[T], answer: Callable[[Step], Any]) -> T:
    """Run a unit to its end, answering each step; whatever `answer` raises ends it."""
    try:
        step = next(work)
        while True:
            step = work.send(answer(step))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        work.close()


async def drive_async(work: Work[T], answer: Callable[[Step], Awaitable[Any]]) -> T:
    """As `drive`, with answers that are awaited."""
    try:
        step = next(work)
        while True:
            step = work.send(await answer(step))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        work.close()


def check_reads_only(step: Step) -> None:
    """ValueError for a step that a read unit may not take."""
    if not isinstance(step, (Now, Read, Scan)):
        raise ValueError(f"a read unit may not ask for {type(step).__name__}")  # noqa: TRY004 - a value of the core


def replies_for(items: int, replies: list[Any]) -> list[Any]:
    """The replies of a unit; ValueError unless there is one per item."""
    if len(replies) != items:
        raise ValueError(f"a unit gave {len(replies)} replies for {items} items")
    return replies
