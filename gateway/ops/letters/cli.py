"""`bianmin ops dead-letters …`, `bianmin ops quarantine …`."""

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.letters.choosing import choosing
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.rows import DeadLetter


STATES = {"waiting": "OPEN+QUARANTINED", "quarantined": "QUARANTINED", "closed": "CLOSED"}
BODY_SHOWN = 4_000
MESSAGE_MAX = 8_192


@click.group("dead-letters")
def dead_letters() -> None:
    """Messages that nobody could use: what each would do to money, and what may be done about it."""


@click.group("quarantine")
def quarantine() -> None:
    """Letters that were put apart: nothing of them runs before they are corrected or released."""


@dead_letters.command("list")
@choosing
@click.option("--state", type=click.Choice(list(STATES)), default="waiting", show_default=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@config_option
@json_option
@pass_shared
@in_loop
async def list_letters(shared: Shared, config_file: Path, as_json: bool, **given: Any) -> None:
    """Dead letters, each with its verdict at this moment."""
    await _list(shared, config_file, given, as_json=as_json, states=STATES[given["state"]])


@quarantine.command("list")
@choosing
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@config_option
@json_option
@pass_shared
@in_loop
async def list_quarantine(shared: Shared, config_file: Path, as_json: bool, **given: Any) -> None:
    """What is in quarantine."""
    await _list(shared, config_file, given, as_json=as_json, states="QUARANTINED")


async def _list(shared: Shared, config_file: Path, given: "Mapping[str, Any]", *, as_json: bool, states: str) -> None:
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.letters import shown
    from gateway.ops.letters.choosing import Chosen

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    found: list[dict[str, Any]] = []
    more = False
    async with open_desk(config, env) as desk:
        chosen = Chosen(desk, given, env.zone, states)
        async for one in chosen.each():
            more = len(found) == given["limit"]
            if more:
                break
            found.append(shown.as_json(one, chosen.book_at))
    if as_json:
        if more:
            click.echo(f"only the first {len(found)} dead letters: there are more (--limit)", err=True)
        echo_json(found)
        return
    title = f"{len(found)} dead letters" + (", there are more" if more else "")
    shown.tell(shown.table_of(found, env.zone, chosen.book_at, title))


def _show(group: click.Group) -> None:
    @group.command("show")
    @click.argument("letter")
    @click.option("--out", type=click.Path(path_type=Path), help="A new file for the body as it is kept, unmasked.")
    @config_option
    @json_option
    @pass_shared
    @in_loop
    async def show(shared: Shared, letter: str, out: Path | None, config_file: Path, as_json: bool) -> None:
        """One letter: what it is about, its verdict and why, who may do what, and what was done so far.

        Its body and headers are masked. With --out they are written as they are: the body to FILE, key and headers
        beside it to FILE.headers.json; only you may read them.
        """
        from gateway.config import build_env
        from gateway.ops.desk import open_desk
        from gateway.ops.letters import shown

        config = shared.load(config_file)
        env = build_env(config, shared.adapters)
        async with open_desk(config, env) as desk:
            found, row = await _whole(desk, letter, env.zone)
        if out is not None:
            _write(out, row.body)
            beside = b'{"key":%s,"headers":%s}' % (json.dumps(row.key).encode(), row.headers.encode())
            _write(out.with_name(f"{out.name}.headers.json"), beside)
        if as_json:
            echo_json(found)
            return
        for name, value in found.items():
            shown.tell(f"{name}: {shown.line(value)}")


for _group in (dead_letters, quarantine):
    _show(_group)


async def _whole(desk: Any, letter: str, zone: Any) -> "tuple[dict[str, Any], DeadLetter]":
    from gateway.core.env import rfc3339
    from gateway.core.rows import DeadLetter, ReplayStep
    from gateway.ops.certs.book import rows_of
    from gateway.ops.letters import shown
    from gateway.ops.letters.choosing import Chosen
    from gateway.ops.tables import mask

    names = ("biller", "letter_reason", "station", "account", "since", "until", "verdict")
    chosen = Chosen(desk, dict.fromkeys(names) | {"letters": (letter,)}, zone, "OPEN")
    found = [shown.as_json(one, chosen.book_at) async for one in chosen.each()]
    (row,) = await rows_of(desk, DeadLetter, "letter_id = :letter", {"letter": letter})
    copies = await rows_of(desk, DeadLetter, "corrects = :letter", {"letter": letter})
    steps = await rows_of(desk, ReplayStep, "letter_id = :letter AND outcome IS NOT NULL", {"letter": letter}, "at")
    told = found[0] | {
        "key": mask(row.key),
        "worker": row.worker,
        "kept_at": rfc3339(row.kept_at),
        "headers": shown.headers_of(row.headers),
        "body_bytes": len(row.body),
        "body": shown.body_of(row.body, BODY_SHOWN),
        "corrected_by": [one.letter_id for one in copies],
        "replays": [
            {
                "plan_sha256": step.plan_sha256,
                "number": step.number,
                "verdict_planned": step.verdict_planned,
                "verdict_now": step.verdict_now,
                "outcome": step.outcome,
                "at": rfc3339(step.at or 0),
            }
            for step in steps
        ],
    }
    return told, row


def _write(file: Path, body: bytes) -> None:
    """A new file that only its owner may read. Raises NotSo where there is one."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(body)
    except FileExistsError:
        raise NotSo(f"{file} is there already") from None


@dead_letters.command("close")
@click.argument("letter")
@acting
@config_option
@pass_shared
@in_loop
async def close(shared: Shared, letter: str, config_file: Path, **who: Any) -> None:
    """Nothing is to be done about this letter any more."""
    tell(await act(shared, config_file, who, "letter.close", letter), f"letter {letter} is CLOSED")


@dead_letters.command("correct")
@click.argument("letter")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@acting
@config_option
@pass_shared
@in_loop
async def correct(shared: Shared, letter: str, file: Path, config_file: Path, **who: Any) -> None:
    """Put a corrected copy beside a letter: FILE is the message as it should have been.

    It is read as strictly as a new one and must agree with the book in every word. The letter itself is closed; the
    copy is judged, planned and approved like any other.
    """
    acted = await act(shared, config_file, who, "letter.correct", letter, body=_message(file))
    tell(acted, f"letter {letter} is CLOSED; its corrected copy is {acted.state}")


def _message(file: Path) -> str:
    if file.stat().st_size > MESSAGE_MAX:
        raise NotSo(f"a request message has at most {MESSAGE_MAX} bytes")
    return b64encode(file.read_bytes()).decode()


@quarantine.command("release")
@click.argument("letter")
@acting
@config_option
@pass_shared
@in_loop
async def release(shared: Shared, letter: str, config_file: Path, **who: Any) -> None:
    """Let a letter be judged like any other again. One that the loop guard stopped takes two people."""
    tell(await act(shared, config_file, who, "letter.release", letter), f"letter {letter} is OPEN")
