"""What an evidence folder says of rulings: both people's deeds, and the files their ruling leans on."""

from pathlib import Path
from typing import Any

from contracts.strict_json import decode
from gateway.core.attachments import read_names
from gateway.core.env import rfc3339
from gateway.core.items_deeds import Deed
from gateway.store.port import Snapshot

RECORDS = (
    "t.record_id IN (SELECT a.prepared_record FROM approvals a WHERE a.kind = 'payment.rule' AND a.subject = :serial"
    " UNION SELECT a.decided_record FROM approvals a WHERE a.kind = 'payment.rule' AND a.subject = :serial"
    " AND a.decided_record IS NOT NULL)"
)
"""Condition on records t: the deeds of whoever prepared or decided a ruling on the payment :serial."""
_PLANS = (
    "SELECT a.plan_sha256, a.plan, a.state, a.prepared_by, a.prepared_at, a.decided_by, a.decided_at, a.decision"
    " FROM approvals a WHERE a.kind = 'payment.rule' AND a.subject = :serial ORDER BY a.prepared_at, a.plan_sha256"
)
_FILE = "SELECT t.body FROM attachments t WHERE t.sha256 = :digest"


async def rulings_of(snapshot: Snapshot, serial: str) -> list[dict[str, Any]]:
    """Every plan to rule on a payment, as JSON values: who, when, why, what, and the files by hash and size."""
    found: list[dict[str, Any]] = []
    async for part in snapshot.rows(_PLANS, {"serial": serial}):
        for digest, plan, state, prepared_by, prepared_at, decided_by, decided_at, decision in part:
            deed = decode(plan, Deed)
            found.append(
                {
                    "plan_sha256": digest,
                    "state": state,
                    "prepared_by": prepared_by,
                    "prepared_at": rfc3339(prepared_at),
                    "reason": deed.reason,
                    "fields": deed.fields,
                    "decided_by": decided_by,
                    "decided_at": None if decided_at is None else rfc3339(decided_at),
                    "decision": decision,
                    "attachments": [
                        {"sha256": file, "size": size}
                        for file, size in read_names(deed.fields.get("attachments", "")) or ()
                    ],
                }
            )
    return found


async def write_attachments(snapshot: Snapshot, rulings: list[dict[str, Any]], folder: Path) -> None:
    """Each file once, as `attachments/SHA256`."""
    for digest in sorted({one["sha256"] for ruling in rulings for one in ruling["attachments"]}):
        async for part in snapshot.rows(_FILE, {"digest": digest}):
            for (body,) in part:
                (folder / "attachments").mkdir(exist_ok=True)
                (folder / "attachments" / digest).write_bytes(body)
