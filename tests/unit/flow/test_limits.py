"""A process that is alone holds a biller as narrow as head office wants it, within a second, and never wider."""

from typing import Any

from contracts.breaker import BreakerPolicy
from gateway.core.allowances import CALLS, QUESTIONS, Size, shares_of
from gateway.core.controls import ControlsView, PeekControls
from gateway.core.rows import BillerControl
from gateway.flow.chores import Chores
from gateway.flow.lane import Lane
from tests.stand.billers import ACME
from tests.unit.flow.fakes import FakeBiller, FakeBook, make_parts


class Controlled(FakeBook):
    """Tells what is set."""

    def __init__(self) -> None:
        super().__init__()
        self.set: dict[str, Any] = {}

    async def look(self, item: Any) -> Any:
        assert isinstance(item, PeekControls)
        row = BillerControl(biller="acme", reason="r", changed_by="s-1", changed_at=0, record_id="r", **self.set)
        return ControlsView(controls={"acme": row} if self.set else {})


async def test_limits_are_followed_down_and_up() -> None:
    book = Controlled()
    parts, _ = make_parts(book)
    lane = Lane(FakeBiller(), ACME, parts, policy=BreakerPolicy())
    chores = Chores(parts, {"acme": lane}, None)  # type: ignore[arg-type]  # limits need no lease
    whole = shares_of(ACME)

    async def sizes() -> dict[str, Size]:
        assert await chores.limit() is False
        return {name: share.limits() for name, share in lane.shares.items()}

    assert await sizes() == whole
    book.set = {"concurrency": 10, "rate_per_s": 100}
    assert await sizes() == {CALLS: Size(9, 90), QUESTIONS: Size(1, 10)}
    book.set = {"concurrency": 10_000, "rate_per_s": None}
    assert await sizes() == whole, "a manifest that has fallen since is not exceeded"
    book.set = {}
    assert await sizes() == whole
