"""Is this the day file the manifest promises? (s8) Pure; its lines are settlement's to read."""

import hashlib
import zlib
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.transport.json_body import BadBody, JsonBody
from adapters.tv.wire import REPLY_LIMIT, Date, Time

PLAIN_MAX = 536_870_912
"""Longest text (s8)."""
_Count = Annotated[int, Meta(ge=0, le=10**13)]
_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Offer(msgspec.Struct):
    """manifest.json. Sizes in bytes, of the gzip file and of the text inside; sums in fen."""

    date: Date
    issue: Annotated[int, Meta(ge=1, le=99)]
    created_at: Time
    file: str
    gzip_size: Annotated[int, Meta(ge=1, le=PLAIN_MAX)]
    gzip_sha256: _Sha256
    plain_size: Annotated[int, Meta(ge=0, le=PLAIN_MAX)]
    plain_sha256: _Sha256
    lines: _Count
    orders: _Count
    orders_fen: _Count
    refunds: _Count
    refunds_fen: _Count


_OFFER = JsonBody(Offer, REPLY_LIMIT)


def read_offer(body: bytes, day: date) -> Offer:
    """The manifest of that day. Raises BadBody, also where its parts contradict each other."""
    offer = _OFFER.read(body)
    named = (offer.date, offer.file) == (day.isoformat(), f"tv-{day.isoformat()}-{offer.issue:02d}.jsonl.gz")
    if not named or offer.orders + offer.refunds != offer.lines:
        raise BadBody("contradicts")
    return offer


def fault(offer: Offer, content: bytes) -> str | None:
    """None if content is the file offered: one gzip member, both sizes and hashes, the count of lines; else a slug.

    Never unpacks more than was promised. CPU-bound: about 1 s for 200 MB of text.
    """
    if len(content) != offer.gzip_size or hashlib.sha256(content).hexdigest() != offer.gzip_sha256:
        return "file.sha256"
    unpack, digest, size, lines, rest = zlib.decompressobj(31), hashlib.sha256(), 0, 0, content
    try:
        while not unpack.eof and size <= offer.plain_size:
            part = unpack.decompress(rest, 1_048_576)
            if not part and not unpack.unconsumed_tail and not unpack.eof:
                return "file.cut"
            rest, size, lines = unpack.unconsumed_tail, size + len(part), lines + part.count(b"\n")
            digest.update(part)
    except zlib.error:
        return "file.gzip"
    if not unpack.eof or unpack.unused_data or size != offer.plain_size:
        return "file.plain_size"
    return None if (digest.hexdigest(), lines) == (offer.plain_sha256, offer.lines) else "file.plain_sha256"
