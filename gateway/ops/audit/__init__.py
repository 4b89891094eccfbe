"""The audit: every invariant of the whole book on one snapshot, right while others write (design s4)."""

from gateway.ops.audit.about import About
from gateway.ops.audit.report import Checked, Report, Violation
from gateway.ops.audit.run import audit, audit_sqlite

__all__ = ["About", "Checked", "Report", "Violation", "audit", "audit_sqlite"]
