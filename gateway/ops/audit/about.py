"""What a part of the audit is given, and what it is."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.core.env import Env
from gateway.ops.audit.report import Checked
from gateway.store.port import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What checks may lean on besides the book. env None: what only adapters declare is inferred from the book.

    now_ms: only warnings depend on it, never a violation. full: the snapshot holds the archive's rows too; else what
    has left the book is carried forward from its totals and seals.
    """

    env: Env | None = None
    now_ms: int
    full: bool = False


Auditor = Callable[[Snapshot, About], Awaitable[Sequence[Checked]]]
"""A part of the audit: reads the snapshot, may be several checks. Other rooms: entry points `bianmin.audits`."""
