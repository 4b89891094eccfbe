"""The state tables of the worked example (s4.1, s4.2), copied as text, and read: what the code must equal."""

from contracts.states import Event, OrderEvent, OrderKind, OrderState, State

PAYMENT_TABLE = """
| CREATED | RESERVE→RESERVED | | |
| RESERVED | SEND→SENT, GIVE_UP→FAILED, LOST→UNKNOWN, PAID→SUCCESS, ACCEPTED→UNKNOWN* | | |
| SENT | ACCEPTED→SENT, PAID→SUCCESS, DECLINED→FAILED, NOT_SENT→RESERVED, LOST→UNKNOWN | | |
| UNKNOWN | PAID→SUCCESS, DECLINED→FAILED, ABSENT_FINAL→FAILED, LOST→UNKNOWN, REVERSE→REVERSING | | |
| SUCCESS | CANCEL→CANCELLING | | DECLINED ABSENT_FINAL REVERSED CANCELLED |
| FAILED | PAID→SUCCESS | | ACCEPTED |
| REVERSING | REVERSED→REVERSED, REFUSED→UNKNOWN, PAID→SUCCESS, LOST→REVERSING | DECLINED ABSENT_FINAL ACCEPTED | |
| REVERSED | | | PAID ACCEPTED |
| CANCELLING | CANCELLED→CANCELLED, REFUSED→SUCCESS, REFUSED_UNWRITTEN→PAID_WAIT_WRITE, \
REFUSED_BAD_WRITE→WRITE_FAILED, LOST→CANCELLING | PAID DECLINED ABSENT_FINAL ACCEPTED WROTE WRITE_BAD | |
| CANCELLED | | | PAID REFUSED WROTE |
| PAID_WAIT_WRITE | WROTE→WRITTEN, WRITE_BAD→WRITE_FAILED, CANCEL→CANCELLING | | \
DECLINED ABSENT_FINAL REVERSED CANCELLED |
| WRITTEN | | | DECLINED ABSENT_FINAL REVERSED CANCELLED WRITE_BAD |
| WRITE_FAILED | WROTE→WRITTEN, WRITE_BAD→WRITE_FAILED*, CANCEL→CANCELLING | | \
DECLINED ABSENT_FINAL REVERSED CANCELLED |
"""

ORDER_TABLE = """
| claim | PRCW | SENT | x | x | x | x | x |
| not_sent | PRCW | k | READY | k | k | k | k |
| accepted | PRCW | UNKNOWN | SENT | k | b | b | k |
| paid | P | DONE | DONE | DONE | DONE | DONE (b if voided by `reversed`) | k |
| declined | P | k | REFUSED | REFUSED | k | k | b |
| reversed (its REVERSE is DONE) | P | x | x | VOID | x | x | x |
| reversed (R), cancelled (C) | RC | DONE | DONE | DONE | b | b | k |
| wrote | W | DONE | DONE | DONE | DONE | DONE | k |
| refused | RCW | k | REFUSED | REFUSED | k | k | b |
| lost | PRCW | k | UNKNOWN | UNKNOWN | k | k | k |
| absent_final | PRCW | k | k | VOID | k | k | b |
| give_up, expired (past `send_before`) | PRC | VOID | x | x | x | x | x |
| restored | PRCW | UNKNOWN | UNKNOWN | UNKNOWN | REFUSED | VOID | DONE |
"""

KINDS = {
    "P": (OrderKind.PAY, OrderKind.DEBIT, OrderKind.REFUND),
    "R": (OrderKind.REVERSE,),
    "C": (OrderKind.CANCEL,),
    "W": (OrderKind.WRITE_CONFIRM,),
}
COLUMNS = ("READY", "SENT", "UNKNOWN", "REFUSED", "VOID", "DONE")


def payment_cells() -> tuple[dict[tuple[State, Event], State], set[tuple[State, Event]], set[tuple[State, Event]]]:
    """Edges, what waits, what breaks."""
    edges: dict[tuple[State, Event], State] = {}
    waits: set[tuple[State, Event]] = set()
    breaks: set[tuple[State, Event]] = set()
    for line in PAYMENT_TABLE.strip().splitlines():
        state, moves, waiting, breaking = (cell.strip() for cell in line.strip("|").split("|"))
        for move in filter(None, (part.strip(" *") for part in moves.split(","))):
            event, to = move.split("→")
            edges[State(state), Event(event)] = State(to)
        waits |= {(State(state), Event(event)) for event in waiting.split()}
        breaks |= {(State(state), Event(event)) for event in breaking.split()}
    return edges, waits, breaks


def order_cells() -> dict[tuple[OrderKind, OrderState, OrderEvent], str]:
    """Every cell: a state, k, b or x."""
    cells: dict[tuple[OrderKind, OrderState, OrderEvent], str] = {}
    for line in ORDER_TABLE.strip().splitlines():
        name, groups, *columns = (cell.strip() for cell in line.strip("|").split("|"))
        for group in groups:
            for event in _events(name, group):
                for kind in KINDS[group]:
                    for column, cell in zip(COLUMNS, columns, strict=True):
                        cells[kind, OrderState(column), event] = cell.split()[0]
    return cells


def _events(name: str, group: str) -> list[OrderEvent]:
    if name.startswith("reversed (R)"):
        return [OrderEvent.REVERSED if group == "R" else OrderEvent.CANCELLED]
    if name.startswith("give_up"):
        return [OrderEvent.GIVE_UP, OrderEvent.EXPIRED]
    return [OrderEvent(name.split(maxsplit=1)[0])]
