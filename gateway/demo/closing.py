"""The day is closed before its midnight, so that its evidence can be shown: by the sealer's own unit of work."""

from collections.abc import Sequence
from datetime import timedelta

from contracts.clock import Clock
from gateway.core import chores
from gateway.core.env import Env
from gateway.core.held import SEALER, Held
from gateway.core.items import Reply, Seal, Sealed
from gateway.core.steps import Now, Work
from gateway.demo.faults import DemoFault
from gateway.demo.system import System
from gateway.ops.desk import Desk, house_units, open_desk
from gateway.store.port import Snapshot, Units

DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
SIGNED_S = 15.0
_LEASE = "SELECT owner, fence FROM leases WHERE name = :name"
_OPEN = "SELECT COUNT(*) FROM records WHERE day IS NULL"
_CLOSED = "SELECT day, signature FROM seals ORDER BY day DESC LIMIT 1"


def seal_tomorrow(items: Sequence[Seal], env: Env) -> Work[list[Reply]]:
    """chores.seal, to which it is a day later. What it does in the book is what it will do after midnight."""
    work = chores.seal(items, env)
    answer = None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as done:
            replies: list[Reply] = done.value
            return replies
        answer = yield step
        if isinstance(step, Now):
            answer += DAY_MS


async def close_day(system: System, clock: Clock) -> str:
    """Close the account day and wait for the gateway's sealer to sign it; the day, YYYY-MM-DD.

    The sealer's lease stays with the gateway: the unit locks it, so both take turns. What is recorded from now on lies
    in the next day. Raises DemoFault.
    """
    ends = clock.monotonic() + SIGNED_S
    async with system.desk() as (desk, env), open_desk(system.config(), env, _units()) as late:
        # Sealed first as what they are: the unit that closes a day takes new records into the next.
        while await _one(desk, _OPEN):
            await _pause(clock, ends, "the sealer does not seal what is recorded")
        while not isinstance(reply := await late.run(await _item(desk)), Sealed):
            await _pause(clock, ends, f"the day cannot be closed ({reply})")
        while (found := await _row(desk, _CLOSED))[1] is None:
            await _pause(clock, ends, "the sealer does not sign the day")
    return str(found[0])


async def _item(desk: Desk) -> Seal:
    owner, fence = await _row(desk, _LEASE, name=SEALER)
    return Seal(under=Held(name=SEALER, owner=str(owner), epoch=int(str(fence))), limit=1)


async def _pause(clock: Clock, ends: float, what: str) -> None:
    if clock.monotonic() >= ends:
        raise DemoFault(f"{what} within {SIGNED_S:g} s")
    await clock.sleep(0.1)


async def _row(desk: Desk, sql: str, **values: object) -> Sequence[object]:
    async def read(snapshot: Snapshot) -> Sequence[Sequence[object]]:
        return [row async for rows in snapshot.rows(sql, values) for row in rows]

    rows = await desk.snapshot(read)
    if not rows:
        raise DemoFault(f"nothing in the book for {sql}")
    return rows[0]


async def _one(desk: Desk, sql: str) -> object:
    return (await _row(desk, sql))[0]


def _units() -> Units:
    house = house_units()
    return Units(
        units={**house.units, Seal: seal_tomorrow},
        read_units=house.read_units,
        item_type=house.item_type,
        reply_type=house.reply_type,
    )
