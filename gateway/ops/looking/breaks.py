"""`bianmin ops breaks list, show`: what two books say differently, and what contradicts a ruling."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.ops.looking.snapshot import look_at, zone_of
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared
from gateway.ops.tables import age_text, clock, say_cut, show_pairs, show_table

if TYPE_CHECKING:
    from datetime import tzinfo

    from gateway.ops.looking.fields import Broken


@click.group("breaks")
def group() -> None:
    """Breaks: contradictions that people put right, two of them each."""


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@config_option
@json_option
@pass_shared
@in_loop
async def list_all(shared: Shared, everything: bool, config_file: Path, as_json: bool) -> None:
    """Open breaks, the oldest first."""
    from contracts.money import Fen
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    found = await look_at(
        shared, config_file, lambda snapshot, env, now: read.breaks(snapshot, env, now, everything=everything)
    )
    say_cut(len(found), read.SHOWN_MAX)
    if as_json:
        echo_json(plain(found))
        return
    show_table(
        ("break", "age", "code", "biller", "payment", "yuan", "state"),
        [
            (
                one.break_id,
                age_text(one.age_s * 1000),
                one.code,
                one.biller,
                one.gateway_serial or "",
                Fen(one.amount_fen).to_yuan(),
                one.state + (" RULE" if one.by_ruling and one.state == "OPEN" else ""),
            )
            for one in found
        ],
        none="no break is open",
    )


@group.command("show")
@click.argument("break_id")
@config_option
@json_option
@pass_shared
@in_loop
async def show(shared: Shared, break_id: str, config_file: Path, as_json: bool) -> None:
    """One break whole: what says what, and who puts it right."""
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    found = await look_at(
        shared, config_file, lambda snapshot, env, now: read.breaks(snapshot, env, now, break_id=break_id)
    )
    if not found:
        raise NotSo(f"there is no break {break_id}")
    if as_json:
        echo_json(plain(found)[0])
        return
    _say(found[0], zone_of(shared, config_file))


def _say(one: "Broken", zone: "tzinfo") -> None:
    from contracts.money import Fen

    right = (
        f"two people rule: bianmin ops rule {one.gateway_serial}" if one.by_ruling else "an adjustment of two people"
    )
    show_pairs(
        [
            ("break", f"{one.break_id} {one.code}, {one.state}"),
            ("payment", f"{one.gateway_serial or 'none of ours'} {one.payment_state or ''}".strip()),
            ("at", one.biller),
            ("amount", f"{Fen(one.amount_fen).to_yuan()} yuan"),
            ("opened", f"{clock(one.opened_at, zone)}, {age_text(one.age_s * 1000)}"),
            ("says", one.detail),
            ("evidence", one.evidence_id or ""),
            ("against ruling", one.ruling or ""),
            ("closed", f"{clock(one.closed_at, zone)}: {one.resolution}" if one.closed_at else ""),
            ("put right by", right if one.state == "OPEN" else ""),
            ("prepares", ", ".join(one.owners.may) if one.by_ruling else ""),
            ("approves", ", ".join(one.owners.approve) if one.by_ruling else ""),
            ("whole life", f"bianmin ops trace {one.gateway_serial}" if one.gateway_serial else ""),
        ]
    )
