"""W3C trace context: one payment seen as one trace, from the terminal to the biller (https://www.w3.org/TR/trace-context/).

A trace id names what belongs together and proves nothing: nobody signs it, and nothing is decided by it.
"""

import hashlib
import re
from collections.abc import Sequence
from contextvars import ContextVar

HEADER = "traceparent"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NONE = "0" * 32

CURRENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The traceparent of the biller call that runs in this task; whoever writes a partner's request carries it along."""


def traceparent(trace_id: str, span_of: str) -> str:
    """The header's value, sampled. trace_id: 32 lower-case hex digits. span_of: what the span is; its id follows."""
    return f"00-{trace_id}-{span_id(span_of)}-01"


def span_id(span_of: str) -> str:
    """16 hex digits that always stand for the same thing, never all zero."""
    found = hashlib.sha256(span_of.encode()).hexdigest()[:16]
    return found if int(found, 16) else found[:-1] + "1"


def trace_of(values: Sequence[str]) -> str | None:
    """The trace id of a request's traceparent lines: None unless there is exactly one, well formed, version 00."""
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0])
    if match is None or match[1] == _NONE or int(match[2], 16) == 0:
        return None
    return match[1]
