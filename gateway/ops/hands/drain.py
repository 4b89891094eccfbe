"""`bianmin ops drain begin, status, end`: no new payments; what was taken goes on to its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting
from gateway.ops.hands.biller import moment
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from gateway.ops.desk import Desk

_OPEN = (
    "SELECT t.state, count(*), COALESCE(SUM(t.amount_fen), 0), MIN(t.accepted_at) FROM payments t"
    " WHERE t.final_at IS NULL GROUP BY t.state ORDER BY t.state"
)
_CALLS = "SELECT t.biller, count(*) FROM orders t WHERE t.in_flight = 1 GROUP BY t.biller ORDER BY t.biller"
_WAITING = (
    "SELECT count(*), MAX(t.send_before) FROM orders t WHERE t.state = 'READY' AND t.in_flight = 0 AND t.hold = 0"
)
_MESSAGES = "SELECT count(*) FROM outbox t WHERE t.published_at IS NULL"


@click.group("drain")
def group() -> None:
    """Let the gateway run empty, and let it take payments again."""


@group.command("begin")
@click.option("--shop-text", default="", help="What shops are told, in Chinese.")
@click.option("--reopens", default="", help="When, by the bureau's clock: YYYY-MM-DDTHH:MM; told, not done by itself.")
@acting
@config_option
@pass_shared
@in_loop
async def begin(shared: Shared, config_file: Path, **given: Any) -> None:
    """Refuse new payments with 503 and a time; what was taken goes on, and so do cancels. Then: ops drain status."""
    from gateway.core.rows import EVERYTHING

    fields = {"shop_text": given["shop_text"], "reopens_at": moment(shared.load(config_file), given["reopens"])}
    acted = await act(shared, config_file, given, "drain.begin", EVERYTHING, **fields)
    click.echo(f"the gateway is {acted.state}")


@group.command("end")
@acting
@config_option
@pass_shared
@in_loop
async def end(shared: Shared, config_file: Path, **who: Any) -> None:
    """Take payments again."""
    from gateway.core.rows import EVERYTHING

    acted = await act(shared, config_file, who, "drain.end", EVERYTHING)
    click.echo(f"the gateway is {acted.state}")


@group.command("status")
@config_option
@json_option
@pass_shared
@in_loop
async def status(shared: Shared, config_file: Path, as_json: bool) -> None:
    """What is open, by state; what is in flight, has not left, or waits to be sent: empty is nothing of these three.

    What waits may still be sent until the latest moment that is shown; then it expires by itself and is free.
    """
    from contracts.money import Fen
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.looking.snapshot import zone_of
    from gateway.ops.tables import clock, show_pairs, show_table

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        told = await _status(desk)
    if as_json:
        echo_json(told)
        return
    zone = zone_of(shared, config_file)
    until = clock(told["waiting_until"], zone, "%Y-%m-%d %H:%M:%S")
    shown = {name: str(told[name] or "") for name in ("state", "reason", "changed_by")}
    shown |= {"since": clock(told["since"], zone), "reopens": clock(told["reopens_at"], zone)}
    shown |= {"in flight": str(told["in_flight"]), "unpublished": str(told["unpublished"])}
    shown |= {"waiting": f"{told['waiting']}, the last until {until}" if until else "0"}
    shown |= {"empty": str(told["empty"]).lower()}
    show_pairs(list(shown.items()))
    show_table(
        ("open payments", "number", "yuan"),
        [(one["state"], str(one["number"]), Fen(one["fen"]).to_yuan()) for one in told["open"]],
        none="no payment is open",
    )


async def _status(desk: "Desk") -> Mapping[str, Any]:
    from gateway.core.env import rfc3339
    from gateway.core.rows import EVERYTHING, BillerControl
    from gateway.ops.certs.book import rows_of
    from gateway.store.port import Snapshot

    async def read(snapshot: Snapshot) -> dict[str, list[Any]]:
        async def all_of(sql: str) -> list[Any]:
            return [row async for part in snapshot.rows(sql) for row in part]

        wanted = {"open": _OPEN, "calls": _CALLS, "messages": _MESSAGES, "waiting": _WAITING}
        return {name: await all_of(sql) for name, sql in wanted.items()}

    rows = await rows_of(desk, BillerControl, "biller = :biller", {"biller": EVERYTHING})
    found = await desk.snapshot(read)
    row = rows[0] if rows else None
    calls = {biller: int(number) for biller, number in found["calls"]}
    unpublished = int(found["messages"][0][0])
    waiting, until = found["waiting"][0]
    return {
        "state": row.state if row else "OPEN",
        "since": rfc3339(row.changed_at) if row and row.changed_at else None,
        "changed_by": row.changed_by if row else None,
        "reason": row.reason if row else None,
        "reopens_at": rfc3339(row.reopens_at) if row and row.reopens_at else None,
        "in_flight": sum(calls.values()),
        "in_flight_by_biller": calls,
        "unpublished": unpublished,
        "waiting": int(waiting),
        "waiting_until": rfc3339(int(until)) if until is not None else None,
        "empty": not (calls or unpublished or waiting),
        "open": [
            {"state": state, "number": int(number), "fen": int(fen), "oldest_at": rfc3339(int(oldest))}
            for state, number, fen, oldest in found["open"]
        ],
    }
