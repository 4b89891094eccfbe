"""At rest both books must say the same to the fen, and nothing may have been paid twice."""

from collections.abc import Iterator

from contracts.states import OrderKind, OrderState, State
from gateway.core import rows
from tests.integration.simulation.world import World
from tests.unit.core.oracle import violations

BOOKED = (State.SUCCESS, State.PAID_WAIT_WRITE, State.WRITTEN, State.WRITE_FAILED)
DECIDED = (*BOOKED, State.FAILED, State.REVERSED, State.CANCELLED)


def never_twice(world: World) -> Iterator[str]:
    """M4: at any moment, whatever was answered: no serial is booked twice, no payment has two serials booked."""
    for biller, truth in world.truth.items():
        for serial, entry in truth.entries.items():
            if len(entry.bookings) > 1:
                yield f"{biller} booked {serial} {len(entry.bookings)} times"


def disagreements(world: World) -> Iterator[str]:
    """At rest: every payment decided, and our book against the billers'."""
    yield from violations(world.house)
    yield from never_twice(world)
    broken = {row.gateway_serial for row in world.house.rows_of(rows.Break, "state = 'OPEN'")}
    primary = {order.gateway_serial: order for order in world.house.rows_of(rows.Order, "kind = 'PAY'")}
    for payment in world.house.rows_of(rows.Payment):
        order, state = primary[payment.gateway_serial], State(payment.state)
        if state not in DECIDED:
            yield f"{payment.gateway_serial} ended as {state}"
            continue
        entry = world.truth[payment.biller].entries.get(order.partner_serial)
        theirs = entry.owed_fen if entry else 0
        ours = (payment.paid_fen or 0) if state in BOOKED else 0
        if ours != theirs and payment.gateway_serial not in broken:
            yield f"{payment.gateway_serial} {state}: ours {ours}, theirs {theirs}, and no break says so"


def books(world: World) -> tuple[int, int]:
    """Both sums, of payments without an open break: ours, theirs."""
    broken = {row.gateway_serial for row in world.house.rows_of(rows.Break, "state = 'OPEN'")}
    ours = theirs = 0
    for order in world.house.rows_of(rows.Order, "kind = ?", OrderKind.PAY):
        if order.gateway_serial in broken:
            continue
        entry = world.truth[order.biller].entries.get(order.partner_serial)
        theirs += entry.owed_fen if entry else 0
        (payment,) = world.house.rows_of(rows.Payment, "gateway_serial = ?", order.gateway_serial)
        ours += (payment.paid_fen or 0) if payment.state in BOOKED else 0
        assert order.state is not OrderState.READY
    return ours, theirs
