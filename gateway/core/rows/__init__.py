"""Rows of the book as values: one struct per table, fields named and ordered as its columns.

Times are whole milliseconds since the epoch, UTC, by the database's clock; dates are `YYYY-MM-DD`; amounts are fen.
`KEY` is the primary key, `MUTABLE` what an update may set, `GUARD` what a row must still hold to be updated (with
its values as they were read); a table without MUTABLE is append-only (M2).
"""

from gateway.core.rows.base import Row
from gateway.core.rows.books import (
    ArchiveTotal,
    Balance,
    Day,
    Posting,
    Transaction,
    Voucher,
    Window,
)
from gateway.core.rows.duties import Allowance, Calling, Lease
from gateway.core.rows.payments import (
    Attempt,
    Key,
    Nonce,
    Order,
    OutboxRow,
    PartnerCounter,
    Payment,
    QueryToken,
)
from gateway.core.rows.proofs import (
    Alarm,
    Break,
    EvidenceRow,
    Record,
    Seal,
    Setting,
)
from gateway.core.rows.registry import (
    Authorization,
    Binding,
    Caller,
    CommissionPlan,
    Operator,
    RegisteredCertificate,
    Station,
    StationService,
    Tariff,
    Terminal,
    Training,
)

TABLES: tuple[type[Row], ...] = (
    Setting,
    Station,
    Terminal,
    Operator,
    Training,
    RegisteredCertificate,
    Binding,
    StationService,
    Tariff,
    CommissionPlan,
    Day,
    Window,
    Balance,
    Key,
    Nonce,
    Payment,
    Order,
    Attempt,
    Transaction,
    Posting,
    ArchiveTotal,
    Voucher,
    Record,
    Seal,
    Lease,
    Allowance,
    EvidenceRow,
    Break,
    Alarm,
    OutboxRow,
    QueryToken,
    Authorization,
    PartnerCounter,
)

ARCHIVED: tuple[type[Row], ...] = (
    Payment,
    Order,
    Attempt,
    Transaction,
    Posting,
    Record,
    EvidenceRow,
    OutboxRow,
)
"""Tables with a twin `archive_…` of the same columns: what leaves the book goes there, and nowhere else."""

__all__ = [
    "ARCHIVED",
    "TABLES",
    "Alarm",
    "Allowance",
    "ArchiveTotal",
    "Attempt",
    "Authorization",
    "Balance",
    "Binding",
    "Break",
    "Caller",
    "Calling",
    "CommissionPlan",
    "Day",
    "EvidenceRow",
    "Key",
    "Lease",
    "Nonce",
    "Operator",
    "Order",
    "OutboxRow",
    "PartnerCounter",
    "Payment",
    "Posting",
    "QueryToken",
    "Record",
    "RegisteredCertificate",
    "Row",
    "Seal",
    "Setting",
    "Station",
    "StationService",
    "Tariff",
    "Terminal",
    "Training",
    "Transaction",
    "Voucher",
    "Window",
]
