"""What people of the staff ask of the book: each deed is signed by who does it, and kept as it was signed (M11, M12).

A deed is canonical JSON (`contracts.strict_json.canonical`) of `Deed`; what is signed are these bytes, by SHA-256.
"""

import msgspec

from gateway.core.items import Item, Reply

DEED_MAX = 16 * 1024
"""Bytes of one deed; a request with an RSA-4096 key and its signature has room."""


class Deed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """action: of `gateway.core.actions`. subject: what it is done to. at: ms since the epoch, by the signer's clock.

    nonce: 16-64 of A-Z a-z 0-9 _ -, once per certificate. fields: what else the action needs, texts by name.
    """

    action: str
    subject: str
    reason: str
    at: int
    nonce: str
    fields: dict[str, str] = {}


class Act(Item, frozen=True, kw_only=True):
    """Do a deed. deed: its canonical bytes. signature: over them, by the registered certificate `keyid`, or the root.

    entropy: 64 random bits. arrival_id: of this asking, so that a commit whose answer was lost is known again.
    """

    arrival_id: str
    deed: bytes
    signature: bytes
    keyid: str
    entropy: int


class Acted(Reply, frozen=True, kw_only=True):
    """Done: `state` is what `subject` is now. waits: SHA-256 of the plan that another person must approve first."""

    subject: str
    state: str
    waits: str | None = None


class ExpireCertificates(Item, frozen=True, kw_only=True):
    """Certificates whose time has run out become EXPIRED, with a step each."""

    limit: int = 500
