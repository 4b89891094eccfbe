"""`bianmin ops replay plan, request, run, show`: approved like every plan, with `bianmin ops approve`."""

import hashlib
import os
import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import acting, do_signed, make_deed, signer_of, tell
from gateway.ops.letters.choosing import choosing
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from gateway.core.rows import ReplayPlan
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@click.group("replay")
def group() -> None:
    """Replay dead letters: planned with a verdict each, approved by two people, run once."""


@group.command("plan")
@choosing
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The plan file to make.")
@config_option
@json_option
@pass_shared
@in_loop
async def plan(shared: Shared, out: Path, config_file: Path, as_json: bool, **given: Any) -> None:
    """Judge letters and write a plan: what each would do to money now, in one file with one SHA-256. Nothing runs."""
    from gateway.config import build_env
    from gateway.core.replays import PLAN_MAX
    from gateway.ops.desk import open_desk
    from gateway.ops.letters import shown
    from gateway.ops.letters.choosing import Chosen
    from gateway.ops.letters.plan import PlanWriter

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        with _new(out) as file:
            chosen = Chosen(desk, given, env.zone, "OPEN+QUARANTINED")
            writer = PlanWriter(file, chosen.filter)
            await writer.write(chosen.each(), lambda: chosen.book_at)
            if not writer.letters:
                raise NotSo("no dead letter is chosen")
            if writer.size > PLAN_MAX:
                raise NotSo("too many letters for one plan: choose fewer")
    totals = [(str(one.verdict), one.letters, one.amount_fen) for one in writer.totals]
    if as_json:
        echo_json(
            {
                "file": str(out),
                "plan_sha256": writer.sha256,
                "letters": writer.letters,
                "amount_fen": writer.amount_fen,
                "filter": chosen.filter,
                "totals": [dict(zip(("verdict", "letters", "amount_fen"), one, strict=True)) for one in totals],
            }
        )
        return
    shown.tell(shown.totals_table(totals, f"{writer.letters:,} letters"), f"{out}: SHA-256 {writer.sha256}")


@group.command("request")
@click.argument("file", type=_FILE)
@acting
@config_option
@pass_shared
@in_loop
async def request(shared: Shared, file: Path, config_file: Path, **who: Any) -> None:
    """Keep a plan in the book and ask for another person's approval of exactly these bytes."""
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    body = _read(file)
    digest = hashlib.sha256(body).hexdigest()
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        kept = await _keep(desk, body, digest)
        fields = {"items": str(kept.items), "amount_fen": str(kept.fen)}
        with signer_of(shared, config, who) as signer:
            acted = await do_signed(desk, signer, make_deed(shared, who, "replay.run", digest, **fields))
    click.echo(f"replay plan {digest}: {kept.items} letters")
    tell(acted, "approved")


@contextmanager
def _new(out: Path) -> "Iterator[BinaryIO]":
    """A new file under another name until it is whole; of one that failed nothing is left. Raises NotSo where out is
    there already."""
    if out.exists():
        raise NotSo(f"{out} is there already")
    try:
        handle, name = mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
    except OSError as wrong:
        raise NotSo(f"{out}: {wrong.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        if out.exists():
            raise NotSo(f"{out} is there already")
        os.replace(name, out)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(file: Path) -> bytes:
    from gateway.core.replays import PLAN_MAX

    if file.stat().st_size > PLAN_MAX:
        raise NotSo(f"a plan has at most {PLAN_MAX} bytes")
    return file.read_bytes()


async def _keep(desk: "Desk", body: bytes, digest: str) -> "ReplayPlan":
    """The plan in the book, with all its steps."""
    from gateway.core.items import Kept, Refusal
    from gateway.core.replays import KeepPlan, SpreadPlan

    item: Any = KeepPlan(body=body)
    while True:
        reply = await desk.run(item)
        if isinstance(reply, Refusal):
            raise NotSo(f"refused ({reply.slug}): {reply.detail}")
        if not isinstance(reply, Kept):
            raise TypeError(type(reply).__name__)
        if isinstance(item, SpreadPlan) and not reply.count:
            return await _plan(desk, digest)
        item = SpreadPlan(plan_sha256=digest)


async def _plan(desk: "Desk", digest: str) -> "ReplayPlan":
    from gateway.core.replays import PeekReplay, ReplaySeen

    seen = await desk.look(PeekReplay(plan_sha256=digest))
    if not isinstance(seen, ReplaySeen):
        raise TypeError(type(seen).__name__)
    if seen.plan is None:
        raise NotSo(f"there is no replay plan {digest}: a file that differs by one byte is another plan")
    return seen.plan


def _digest(plan: str) -> str:
    """Of a plan that is named by its SHA-256 or by its file."""
    if _SHA256.fullmatch(plan):
        return plan
    if not Path(plan).is_file():
        raise NotSo("a replay plan is named by its SHA-256 or by its file")
    with Path(plan).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@group.command("run")
@click.argument("plan")
@acting
@config_option
@json_option
@pass_shared
@in_loop
async def run(shared: Shared, plan: str, config_file: Path, as_json: bool, **who: Any) -> None:
    """Run an approved plan, named by its SHA-256 or its file. One that was interrupted goes on where it was.

    Each item is judged again at its moment; what is no longer as planned is skipped. Whoever starts a plan that another
    person runs takes it over.
    """
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.letters.run import Runner

    digest = _digest(plan)
    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        found = await _plan(desk, digest)
        with signer_of(shared, config, who) as signer:
            record = (await do_signed(desk, signer, make_deed(shared, who, "replay.start", digest))).state
        rates = await _rates(desk, {name: manifest.rate_per_s for name, manifest in env.manifests.items()})
        runner = Runner(desk, shared.clock, rates, plan_sha256=digest, run_record=record)
        await _progressing(runner, found.items, found.done)
    outcomes = dict(sorted(runner.outcomes.items()))
    if as_json:
        echo_json({"plan_sha256": digest, "items": found.items, "done_before": found.done, "outcomes": outcomes})
        return
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "nothing was left"
    click.echo(f"replay plan {digest} is at its end: {told}")


async def _rates(desk: "Desk", rates: dict[str, int]) -> dict[str, int]:
    """As the billers' manifests say, or as people have lowered them (`ops biller limits`)."""
    from gateway.core.rows import BillerControl
    from gateway.ops.certs.book import rows_of

    for control in await rows_of(desk, BillerControl, "rate_per_s IS NOT NULL"):
        if control.biller in rates and control.rate_per_s is not None:
            rates[control.biller] = min(rates[control.biller], control.rate_per_s)
    return rates


async def _progressing(runner: Any, items: int, done: int) -> None:
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("replay", total=items, completed=done)
        await runner.run(lambda count: progress.advance(task, count))


@group.command("show")
@click.argument("plan")
@config_option
@json_option
@pass_shared
@in_loop
async def show(shared: Shared, plan: str, config_file: Path, as_json: bool) -> None:
    """A plan as it stands: totals as they were approved, what became of them, who prepared, approved and ran it."""
    from gateway.config import build_env
    from gateway.ops.desk import open_desk
    from gateway.ops.letters import shown

    digest = _digest(plan)
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await _about(desk, await _plan(desk, digest))
    if as_json:
        echo_json(found)
        return
    totals = [(one["verdict"], one["letters"], one["amount_fen"]) for one in found["totals"]]
    shown.tell(shown.totals_table(totals, f"replay plan {digest}: {found['state']}"))
    for name in ("filter", "done", "outcomes", "prepared_by", "approved_by", "run_by"):
        shown.tell(f"{name}: {shown.line(found[name])}")


async def _about(desk: "Desk", plan: "ReplayPlan") -> "Mapping[str, Any]":
    from gateway.core.replays import read_plan
    from gateway.core.rows import Approval, RegisteredCertificate, ReplayFile
    from gateway.ops.certs.book import rows_of
    from gateway.ops.letters.shown import masked_filter

    of_plan = {"plan": plan.plan_sha256}
    (file,) = await rows_of(desk, ReplayFile, "plan_sha256 = :plan", of_plan)
    approvals = await rows_of(
        desk, Approval, "kind = 'replay.run' AND subject = :plan", of_plan, "prepared_at, plan_sha256"
    )
    approval = next(
        (one for one in approvals if one.plan_sha256 == plan.approval), approvals[-1] if approvals else None
    )
    runners = await rows_of(
        desk,
        RegisteredCertificate,
        "keyid IN (SELECT r.keyid FROM records r WHERE r.record_id = :record)",
        {"record": plan.run_record or ""},
    )
    outcomes: dict[str, int] = {}

    async def count(snapshot: Any) -> None:
        sql = "SELECT outcome, count(*) FROM replay_steps WHERE plan_sha256 = :plan AND outcome IS NOT NULL"
        async for page in snapshot.rows(f"{sql} GROUP BY outcome ORDER BY outcome", of_plan):
            outcomes.update(page)

    await desk.snapshot(count)
    body = read_plan(file.body)
    return {
        "plan_sha256": plan.plan_sha256,
        "state": plan.state,
        "items": plan.items,
        "amount_fen": plan.fen,
        "done": plan.done,
        "outcomes": outcomes,
        "filter": masked_filter(body.filter),
        "totals": [
            {"verdict": one.verdict, "letters": one.letters, "amount_fen": one.amount_fen} for one in body.totals
        ],
        "waits": approval.plan_sha256 if approval is not None and approval.state == "OPEN" else None,
        "prepared_by": None if approval is None else approval.prepared_by,
        "approved_by": approval.decided_by if approval is not None and plan.approval is not None else None,
        "run_by": runners[0].staff_id if runners else None,
    }
