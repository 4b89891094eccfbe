"""Certificates that end soon (CERT-03): the lead times at which people are told, and what counts as not cared for."""

LEAD_DAYS = (60, 30, 7)
"""Listed, and hinted at to the shop; a ticket; an alarm."""
DAY_MS = 86_400_000
NOT_RENEWED = (
    "NOT EXISTS (SELECT 1 FROM certificates heir WHERE heir.renews = certificates.keyid AND heir.state = 'ACTIVE')"
)
"""SQL over `certificates`: no active certificate has taken its place."""
ENDING = f"state IN ('ISSUED', 'BOUND', 'ACTIVE', 'FROZEN') AND not_after <= :until AND {NOT_RENEWED}"
"""SQL over `certificates`: alive, ends until :until, and nobody has cared for it."""

PARTNERS_ENDING = (
    "state = 'ACTIVE' AND not_after <= :until AND NOT EXISTS (SELECT 1 FROM partner_certificates heir WHERE heir.biller"
    " = partner_certificates.biller AND heir.use = partner_certificates.use AND heir.state = 'ACTIVE'"
    " AND heir.not_after > partner_certificates.not_after)"
)
"""SQL over `partner_certificates`: counts, ends until :until, and no later one of that use is pinned."""


def days_left(not_after: int, now: int) -> int | None:
    """Whole days until a certificate ends, where that is within the longest lead time; None where it is not."""
    left = (not_after - now) // DAY_MS
    return max(0, left) if left < LEAD_DAYS[0] else None
