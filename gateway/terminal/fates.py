"""What became of a request, read out of proven bytes: a reply's, an inquiry's, or those the journal kept. Pure."""

from typing import TypeVar

import msgspec

from certs.core.profile import ReplyProof
from contracts import api
from contracts.states import FINAL
from gateway.terminal.answers import Fate, Refused, Tombstone, Undecided
from gateway.terminal.journal import Entry
from gateway.terminal.tries import Open, read_problem

T = TypeVar("T")


def is_open(entry: Entry) -> bool:
    """Whether its end is still to come: nothing is known of it, or the payment as last proven was not final."""
    known = known_payment(entry)
    return entry.ended is None or (known is not None and known.state not in FINAL)


def known_payment(entry: Entry) -> api.Payment | None:
    """The payment as the journal last proved it."""
    fate = ended_fate(entry)
    return fate if isinstance(fate, api.Payment) else None


def ended_fate(entry: Entry) -> Fate:
    """What became of an entry, by the journal alone; Undecided for one that is open or was never sent."""
    ended, key = entry.ended, entry.begun.key
    if ended is None:
        return Undecided(key=key, why="not asked about yet")
    if ended.outcome == "unsent":
        return Undecided(key=key, why="no byte of it left this machine", sent=False, shop_text="该笔请求当时没有发出")
    if ended.inquiry:
        return read_found(key, ended.body.encode())
    try:
        if ended.outcome == "refused":
            return Refused(msgspec.json.decode(ended.body, type=api.Problem))
        return msgspec.json.decode(ended.body, type=api.Payment)
    except msgspec.MsgspecError as wrong:
        return Undecided(key=key, why=f"the journal's answer is of another version: {wrong}")


def read_found(key: str, body: bytes) -> Fate:
    """An inquiry's answer."""
    try:
        found = msgspec.json.decode(body, type=api.Found)
        if found.found and isinstance(found.payment, api.Payment):
            return found.payment
        if found.found and isinstance(found.problem, msgspec.Raw):
            return Refused(msgspec.json.decode(found.problem, type=api.Problem))
    except msgspec.MsgspecError as wrong:
        return Undecided(key=key, why=f"the gateway's answer is of another version: {wrong}")
    if not found.found and found.tombstone is True:
        return Tombstone(key)
    return Undecided(key=key, why="the gateway's answer says neither found nor tombstone")


def read_plain(answer: ReplyProof | Open, kind: type[T]) -> T | Refused | Undecided:
    """The answer to a question that moves no money: a refusal that was proven is worth more than silence."""
    proof = answer.refusal if isinstance(answer, Open) else answer
    problem = None if proof is None else read_problem(proof)
    if problem is not None:
        return Refused(problem)
    if isinstance(answer, Open):
        return Undecided(key=None, why=answer.why, sent=answer.sent, shop_text=answer.shop_text)
    if answer.status not in {200, 202}:
        return Undecided(key=None, why=f"the gateway answered {answer.status}, which this terminal does not know")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as wrong:
        return Undecided(key=None, why=f"the gateway's answer is of another version: {wrong}")
