"""`bianmin ops in-doubt list, show`: payments whose result nobody knows yet, and what happens next."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.ops.looking.snapshot import look_at, zone_of
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared
from gateway.ops.tables import age_text, clock, say_cut, show_pairs, show_table, tail

if TYPE_CHECKING:
    from datetime import tzinfo

    from gateway.ops.looking.fields import Doubt

_STEPS = {
    "send": "is sent",
    "ask": "the biller is asked",
    "reverse": "is reversed by us",
    "wait-for-file": "the biller's file decides; asked meanwhile",
    "nothing": "nothing by itself",
}


@click.group("in-doubt")
def group() -> None:
    """Payments in doubt: nobody may pay them again; only evidence or a ruling ends them."""


@group.command("list")
@config_option
@json_option
@pass_shared
@in_loop
async def list_all(shared: Shared, config_file: Path, as_json: bool) -> None:
    """The oldest first."""
    from contracts.money import Fen
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    found = await look_at(shared, config_file, read.doubts)
    say_cut(len(found), read.SHOWN_MAX)
    if as_json:
        echo_json(plain(found))
        return
    zone = zone_of(shared, config_file)
    show_table(
        ("payment", "age", "biller", "station", "account", "yuan", "state", "next"),
        [
            (
                one.gateway_serial,
                age_text(one.age_s * 1000),
                one.biller,
                one.institution_code,
                tail(one.biller_account),
                Fen(one.amount_fen).to_yuan(),
                one.state,
                _next(one, zone),
            )
            for one in found
        ],
        none="no payment is in doubt",
    )
    if found:
        rule = "RULE: two people may rule now. " if any(one.may_rule_now for one in found) else ""
        click.echo(f"\n{rule}One payment whole: bianmin ops in-doubt show PAYMENT")


def _next(one: "Doubt", zone: "tzinfo") -> str:
    at = clock(one.next_step.at, zone, "%H:%M")
    return " ".join(part for part in (one.next_step.what, at, "RULE" if one.may_rule_now else "") if part)


@group.command("show")
@click.argument("serial")
@config_option
@json_option
@pass_shared
@in_loop
async def show(shared: Shared, serial: str, config_file: Path, as_json: bool) -> None:
    """One payment in doubt: what was asked, what comes next, who may rule."""
    from gateway.ops.looking import read
    from gateway.ops.looking.fields import plain

    found = await look_at(shared, config_file, lambda snapshot, env, now: read.doubts(snapshot, env, now, serial))
    if not found:
        raise NotSo(f"payment {serial} is not in doubt, or there is none: bianmin ops search {serial}")
    if as_json:
        echo_json(plain(found)[0])
        return
    say(found[0], zone_of(shared, config_file))


def say(one: "Doubt", zone: "tzinfo") -> None:
    """One payment in doubt, line by line."""
    from contracts.money import Fen

    at = f" at {clock(one.next_step.at, zone)}" if one.next_step.at else ""
    show_pairs(
        [
            ("payment", f"{one.gateway_serial} ({one.kind}) {one.state}"),
            ("station", one.institution_code),
            ("at", f"{one.biller}, {one.service}, account {one.biller_account}"),
            ("amount", f"{Fen(one.amount_fen).to_yuan()} yuan + fee {Fen(one.fee_fen).to_yuan()}"),
            (
                "in doubt",
                f"since {clock(one.since, zone)}, {age_text(one.age_s * 1000)}; asked {one.asks}×, rung {one.rung}",
            ),
            ("next", f"{_STEPS[one.next_step.what]}{at}"),
            ("reversal", f"by policy from {clock(one.reverse_at, zone)}" if one.reverse_at else ""),
            ("ruling", "two people may rule now" if one.may_rule_now else f"not before {clock(one.rule_from, zone)}"),
            ("open plan", f"bianmin ops show {one.plan}" if one.plan else ""),
            ("prepares", ", ".join(one.rulers.may)),
            ("approves", ", ".join(one.rulers.approve)),
            ("whole life", f"bianmin ops trace {one.gateway_serial}"),
        ]
    )
