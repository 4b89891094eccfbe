"""Deeds about dead letters: correct, close, release from quarantine. None of them sends anything."""

import binascii
import hashlib
from base64 import b64decode

from msgspec.structs import replace

from contracts.bus import OrderMessage, UnreadableMessage, read_request
from contracts.strict_json import Malformed, scan
from gateway.core.env import rfc3339
from gateway.core.items import Refusal
from gateway.core.letters import FoundLetter, make_letter
from gateway.core.rows import DeadLetter, Order, Payment
from gateway.core.scene import Scene, conflict, malformed, missing
from gateway.core.steps import Read, Work
from gateway.core.verdicts import LOOP_MAX

CORRECT, CLOSE, RELEASE = "letter.correct", "letter.close", "letter.release"


def close(scene: Scene) -> Work[Refusal | str]:
    """Nothing is to be done about it any more. subject: letter_id."""
    letter = yield from _letter(scene)
    if isinstance(letter, Refusal):
        return letter
    if letter.state == "CLOSED":
        return conflict("The letter is closed already.")
    scene.book.put(replace(letter, state="CLOSED", record_id=scene.record_id))
    return "CLOSED"


def release(scene: Scene) -> Work[Refusal | str]:
    """Out of quarantine: it is judged like any other again, and its replays are counted anew. subject: letter_id."""
    letter = yield from _letter(scene)
    if isinstance(letter, Refusal):
        return letter
    if letter.state != "QUARANTINED":
        return conflict(f"The letter is {letter.state}, not in quarantine.")
    if letter.message is None:
        return conflict("Nobody can read the letter, and a release would not change that: correct it, or close it.")
    scene.book.put(replace(letter, state="OPEN", runs=0, record_id=scene.record_id))
    return "OPEN"


def release_takes_two(scene: Scene) -> Work[bool]:
    """Where it was the loop guard that put it there."""
    letter = yield from _letter(scene)
    return isinstance(letter, DeadLetter) and letter.runs >= LOOP_MAX


def correct(scene: Scene) -> Work[Refusal | str]:
    """A corrected copy, linked to the original, which is closed. subject: letter_id of the original.

    fields: body (base64), the message as it should have been: read as strictly as a new one, and every word of it must
    be the book's. Topic and key are the book's own. The count of replays goes on in the copy.
    Returns the copy's letter_id.
    """
    letter = yield from _letter(scene)
    if isinstance(letter, Refusal):
        return letter
    if (refused := _incorrigible(letter)) is not None:
        return refused
    try:
        body = b64decode(scene.field("body"), validate=True)
        scan(body)
        message = read_request(body)
    except (binascii.Error, Malformed, UnreadableMessage) as wrong:
        return malformed(f"not a request message: {wrong}", "body")
    if not isinstance(message, OrderMessage):
        return malformed("a bill query is not replayed: the terminal asks anew", "body")
    scene.book.load((yield Read("orders", [(message.order_serial,)])))
    scene.book.load((yield Read("payments", [(message.gateway_serial,)])))
    order = scene.book.get(Order, message.order_serial)
    payment = scene.book.get(Payment, message.gateway_serial)
    if order is None or payment is None:
        return missing(f"order {message.order_serial} of payment {message.gateway_serial}")
    if (refused := _disagrees(message, order, letter)) is not None:
        return refused
    digest = hashlib.sha256(body).hexdigest()
    found = FoundLetter(
        origin=f"corrected:{letter.letter_id}/{digest}",
        topic=f"{scene.env.topic_prefix}.request.{order.biller}",
        key=order.biller_account,
        body=body,
        reason=letter.reason,
        buried_at=letter.buried_at,
        worker=scene.by,
    )
    copy_id = scene.serials.mint()
    linked = {"state": "OPEN", "corrects": letter.letter_id, "runs": letter.runs, "record_id": scene.record_id}
    scene.book.add(make_letter(found, copy_id, scene.book, scene.now, **linked))
    scene.book.put(replace(letter, state="CLOSED", record_id=scene.record_id))
    return copy_id


def _incorrigible(letter: DeadLetter) -> Refusal | None:
    """Why this letter takes no corrected copy: a copy is no way past the loop guard, nor past what can be read."""
    if letter.runs >= LOOP_MAX:
        return conflict("The letter was replayed too often: it takes no copy, two people may release it.")
    if letter.state != "QUARANTINED":
        return conflict(f"The letter is {letter.state}, not in quarantine: only one that nobody can read is corrected.")
    if letter.message is not None:
        return conflict("The letter can be read as it is: release it, or close it.")
    return None


def _disagrees(message: OrderMessage, order: Order, letter: DeadLetter) -> Refusal | None:
    """What a message of ours about this order says, member by member; and of the letter's own serials, where it had."""
    told = {
        "gateway_serial": (message.gateway_serial, order.gateway_serial),
        "order_kind": (message.order_kind, order.kind),
        "biller": (message.biller, order.biller),
        "send_before": (message.send_before, rfc3339(order.send_before)),
    }
    for name, (said, held) in told.items():
        if said != held:
            return malformed(f"{name} is not that of the order", f"body.{name}")
    for name in ("gateway_serial", "order_serial"):
        original = getattr(letter, name)
        if original not in (None, getattr(message, name)):
            return malformed(f"the original is about another {name}", f"body.{name}")
    return None


def _letter(scene: Scene) -> Work[DeadLetter | Refusal]:
    scene.book.load((yield Read("dead_letters_locked", [(scene.deed.subject,)])))
    letter = scene.book.get(DeadLetter, scene.deed.subject)
    return missing(f"dead letter {scene.deed.subject}") if letter is None else letter
