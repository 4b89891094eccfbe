"""Our own signed replies, kept after they were told: in commits of their own, many at once (M11)."""

from collections.abc import Sequence

import msgspec

from gateway.core.admit import make_record
from gateway.core.env import Env
from gateway.core.items import Item, Kept, Reply
from gateway.core.steps import Claim, Now, Work

SIGNED_REPLY = "signed-reply"
"""Kind of a record: what the gateway signed and told a terminal. Its base names the signature of the request."""


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One signed reply. record_id: ours, so that it is kept once however often it comes."""

    record_id: str
    institution_code: str
    gateway_serial: str | None
    keyid: str
    base: bytes
    signature: bytes
    body: bytes


class KeepReplies(Item, frozen=True, kw_only=True):
    """Replies that were told already. Nothing waits for their commit."""

    replies: tuple[Told, ...]


def keep_replies(items: Sequence[KeepReplies], env: Env) -> Work[list[Reply]]:
    """Keep each once. Replies: Kept, with how many the item had."""
    now: int = yield Now()
    told = {reply.record_id: reply for item in items for reply in item.replies}
    rows = [
        make_record(
            kind=SIGNED_REPLY,
            record_id=reply.record_id,
            now=now,
            institution_code=reply.institution_code,
            gateway_serial=reply.gateway_serial,
            keyid=reply.keyid,
            base=reply.base,
            signature=reply.signature,
            body=reply.body,
        )
        for reply in told.values()
    ]
    if rows:
        yield Claim(rows)
    return [Kept(count=len(item.replies)) for item in items]
