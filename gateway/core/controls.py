"""Hands on the flow: a biller paused or held below its limits, the whole gateway drained; every step a signed deed.

All of it stands in the book, and the book's own units ask: an acceptance before it takes a payment, a claim before it
lets a call through, the dealing of shares. So every process obeys with its next commit, and none keeps a copy of it
that could be old; only the limits of a process that is alone are looked up every second (gateway.flow.chores).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as swap

from msgspec.structs import replace

from contracts.manifest import Manifest
from gateway.core.book import Book
from gateway.core.env import Env, local
from gateway.core.items import Item, NotNow, Refusal, Reply
from gateway.core.rows import EVERYTHING, BillerControl
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.steps import Read, Work

OPEN, PAUSED, DRAINING = "OPEN", "PAUSED", "DRAINING"
RETRY_S = 60
"""What a shop is told to wait where nobody has said when it opens, or that moment is past."""
CLAIM_AGAIN_MS = 2_000
_TEXT_MAX = 64
_AHEAD_MS = 31 * 86_400_000
DRAIN_TEXT = "系统维护中，暂不受理新缴费，请稍后再试"


def pause(scene: Scene) -> Work[Refusal | str]:
    """No new payment and no call that moves money; what is in doubt is still asked about. subject: the biller.

    fields: shop_text (what shops are told), reopens_at (ms; told too, but only a person opens). One that is paused may
    be paused again with another text or time, which is all that changes; the same again is refused.
    """
    return (yield from _set(scene, PAUSED))


def resume(scene: Scene) -> Work[Refusal | str]:
    """A paused biller takes payments and calls again. subject: the biller."""
    return (yield from _set(scene, OPEN))


def begin_drain(scene: Scene) -> Work[Refusal | str]:
    """The gateway takes no new payment; what was taken goes on to its end. subject: EVERYTHING; fields: as of pause."""
    return (yield from _set(scene, DRAINING))


def end_drain(scene: Scene) -> Work[Refusal | str]:
    """It takes payments again. subject: EVERYTHING."""
    return (yield from _set(scene, OPEN))


def _set(scene: Scene, state: str) -> Work[Refusal | str]:
    held = yield from held_control(scene)
    if isinstance(held, Refusal):
        return held
    text, reopens = scene.field("shop_text"), scene.field("reopens_at")
    if text and not (len(text) <= _TEXT_MAX and text.isprintable()):
        return malformed(f"1 to {_TEXT_MAX} printable characters", "shop_text")
    if reopens and not (
        reopens.isascii() and reopens.isdigit() and scene.now < int(reopens[:15]) < scene.now + _AHEAD_MS
    ):
        return malformed("a moment within 31 days, in ms", "reopens_at")
    told = (text or None, int(reopens) if reopens else None)
    if (state, *told) == ((held.state, held.shop_text, held.reopens_at) if held is not None else (OPEN, None, None)):
        return conflict(f"It is {state} already, and tells shops the same.")
    by = {"changed_by": scene.by, "changed_at": scene.now, "reason": scene.deed.reason}
    by |= {"record_id": str(scene.record_id)}
    put_control(scene, held, state=state, shop_text=told[0], reopens_at=told[1], **by)
    return state


def held_control(scene: Scene) -> Work[BillerControl | Refusal | None]:
    """The row, locked; None where there is none yet. Only drains are about EVERYTHING."""
    name, whole = scene.deed.subject, scene.deed.action.startswith("drain.")
    if whole is not (name == EVERYTHING) or (not whole and name not in scene.env.manifests):
        return missing(f"biller {name} in this configuration")
    scene.book.load((yield Read("biller_controls_locked", [(name,)])))
    return scene.book.get(BillerControl, name)


def put_control(scene: Scene, held: BillerControl | None, **changes: object) -> None:
    """Write what the deed says, by whom and why; `held` is the row as it was, None: there was none."""
    if held is None:
        scene.book.add(BillerControl(biller=scene.deed.subject, **changes))  # type: ignore[arg-type]
    else:
        scene.book.put(replace(held, version=held.version + 1, **changes))


# asked by the units


def read_controls(billers: Iterable[str], book: Book) -> Work[None]:
    """What the functions below need of these billers, and of the whole gateway."""
    book.load((yield Read("biller_controls", sorted({(name,) for name in [*billers, EVERYTHING]}))))


def refuse_new(biller: str, book: Book, env: Env, now: int) -> Refusal | None:
    """Why no new payment or bill query of this biller is taken; 503, so that the key stays free.

    A drain is told as a pause is: a terminal takes `overloaded` for something that passes while it waits, and would
    end in doubt about a payment that was refused (gateway.terminal.verdicts).
    """
    whole, own = book.get(BillerControl, EVERYTHING), book.get(BillerControl, biller)
    if whole is not None and whole.state == DRAINING:
        detail = "The gateway takes no new payments now."
        return Refusal(
            slug="biller-closed", detail=detail, retry_after_s=_wait_s(whole, now), shop_text=_text(whole, env, now)
        )
    if own is not None and own.state == PAUSED:
        detail = "The biller is paused by head office."
        return Refusal(
            slug="biller-closed", detail=detail, retry_after_s=_wait_s(own, now), shop_text=_text(own, env, now)
        )
    return None


def refuse_claim(biller: str, book: Book, now: int) -> NotNow | None:
    """No call that moves money to a paused biller, whatever the order."""
    own = book.get(BillerControl, biller)
    if own is None or own.state != PAUSED:
        return None
    return NotNow(gone=False, cause="paused", retry_at=now + CLAIM_AGAIN_MS)


def limited(manifest: Manifest, book: Book) -> Manifest:
    """The manifest with the limits that a person has set."""
    own = book.get(BillerControl, manifest.name)
    return manifest if own is None else lowered(manifest, own.concurrency, own.rate_per_s)


def lowered(manifest: Manifest, concurrency: int | None, rate_per_s: int | None) -> Manifest:
    """Never above the manifest's own, which may have fallen since."""
    return swap(
        manifest,
        concurrency=min(concurrency or manifest.concurrency, manifest.concurrency),
        rate_per_s=min(rate_per_s or manifest.rate_per_s, manifest.rate_per_s),
    )


def _wait_s(row: BillerControl, now: int) -> int:
    return RETRY_S if row.reopens_at is None or row.reopens_at <= now else max(1, -(-(row.reopens_at - now) // 1000))


def _text(row: BillerControl, env: Env, now: int) -> str | None:
    """What the shop is told, with the reopening time where it lies ahead; None: the slug's own words."""
    text = row.shop_text or (DRAIN_TEXT if row.state == DRAINING else "收费单位暂停服务")
    if row.reopens_at is None or row.reopens_at <= now:
        return text
    at, today = local(row.reopens_at, env.zone), local(now, env.zone).date()
    return f"{text}（预计{at:%H:%M}恢复）" if at.date() == today else f"{text}（预计{at:%m月%d日%H:%M}恢复）"


class PeekControls(Item, frozen=True, kw_only=True):
    """What is set for the billers of this configuration."""


class ControlsView(Reply, frozen=True, kw_only=True):
    """By biller, and EVERYTHING; those for which a person has set something."""

    controls: dict[str, BillerControl]


def peek_controls(items: Sequence[PeekControls], env: Env) -> Work[list[Reply]]:
    """Replies: ControlsView."""
    book = Book()
    yield from read_controls(env.manifests, book)
    found: Mapping[str, BillerControl] = {row.biller: row for row in book.all(BillerControl)}
    return [ControlsView(controls=dict(found)) for _ in items]
