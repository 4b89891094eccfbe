"""The catalogue: every query the core may name, as text both engines understand.

A `ByKeys` query joins the keys asked for with one table (or with its own `sql`, whose key columns bear the names in
`on`); `extra` is added to its WHERE. A `Scanned` query is whole text with `:name` parameters. What a lock adds
(FOR UPDATE, FOR SHARE, SKIP LOCKED) is the PostgreSQL driver's business: SQLite has one writer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.states import OPEN
from gateway.core import rows
from gateway.core.rows import Row

_OPEN = ", ".join(f"'{state}'" for state in sorted(OPEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByKeys:
    """Rows of `row` whose columns `on` are among the keys. lock: as after FOR, or ""; in key order."""

    row: type[Row]
    on: tuple[str, ...]
    extra: str = ""
    lock: str = ""
    sql: str = ""  # a sub-select to read from instead of the row's table


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """Rows of `row` by a whole SELECT body: `FROM …` onwards; the driver writes the columns (of alias `t`)."""

    row: type[Row]
    sql: str
    lock: str = ""  # "" | "skip": FOR UPDATE OF t SKIP LOCKED


_CALLERS = """
SELECT c.keyid, c.state AS certificate_state, c.not_before, c.not_after, b.institution_code, b.terminal_id,
       b.operator_id, s.state AS station_state, s.reason AS station_reason, t.state AS terminal_state,
       o.state AS operator_state, s.overdraft_limit_fen, s.low_balance_fen
FROM certificates c
LEFT JOIN bindings b ON b.keyid = c.keyid AND b.unbound_at IS NULL
LEFT JOIN stations s ON s.institution_code = b.institution_code
LEFT JOIN terminals t ON t.institution_code = b.institution_code AND t.terminal_id = b.terminal_id
LEFT JOIN operators o ON o.institution_code = b.institution_code AND o.operator_id = b.operator_id
WHERE c.role = 'station'
"""

_CALLS = """
SELECT o.biller, a.worker, count(*) AS calls FROM orders o
JOIN attempts a ON a.order_serial = o.order_serial AND a.attempt = o.attempts
WHERE o.in_flight = 1 GROUP BY o.biller, a.worker
"""

BY_KEYS: Mapping[str, ByKeys] = {
    "callers": ByKeys(row=rows.Caller, on=("keyid",), sql=_CALLERS),
    "certificates": ByKeys(row=rows.RegisteredCertificate, on=("keyid",)),
    "certificates_revoked": ByKeys(
        row=rows.RegisteredCertificate, on=("issuer_keyid",), extra="t.serial <> '' AND t.state = 'REVOKED'"
    ),
    "partner_certificates_of": ByKeys(row=rows.PartnerCertificate, on=("biller",)),
    "partner_certificates_by_key": ByKeys(row=rows.PartnerCertificate, on=("public_key_sha256",)),
    "partner_certificates_of_locked": ByKeys(row=rows.PartnerCertificate, on=("biller",), lock="update"),
    "certificates_by_key": ByKeys(row=rows.RegisteredCertificate, on=("public_key_sha256",)),
    "certificates_in_key": ByKeys(row=rows.RegisteredCertificate, on=("key_serial",), extra="t.key_serial <> ''"),
    "certificates_of_staff": ByKeys(row=rows.RegisteredCertificate, on=("staff_id",), extra="t.staff_id IS NOT NULL"),
    "certificate_requests": ByKeys(row=rows.CertificateRequest, on=("request_id",)),
    "certificate_requests_by_key": ByKeys(
        row=rows.CertificateRequest, on=("public_key_sha256",), extra="t.state <> 'REFUSED'"
    ),
    "certificate_requests_of": ByKeys(row=rows.CertificateRequest, on=("keyid",), extra="t.keyid IS NOT NULL"),
    "certificate_steps_of": ByKeys(row=rows.CertificateStep, on=("subject",)),
    "usb_keys": ByKeys(row=rows.UsbKey, on=("key_serial",)),
    "usb_keys_locked": ByKeys(row=rows.UsbKey, on=("key_serial",), lock="update"),
    "usb_key_steps_of": ByKeys(row=rows.UsbKeyStep, on=("key_serial",)),
    "staff": ByKeys(row=rows.StaffMember, on=("staff_id",)),
    "staff_locked": ByKeys(row=rows.StaffMember, on=("staff_id",), lock="update"),
    "approvals": ByKeys(row=rows.Approval, on=("plan_sha256",)),
    "terminals": ByKeys(row=rows.Terminal, on=("institution_code", "terminal_id")),
    "operators": ByKeys(row=rows.Operator, on=("institution_code", "operator_id")),
    "bindings_of_station": ByKeys(row=rows.Binding, on=("institution_code",), extra="t.unbound_at IS NULL"),
    "bindings": ByKeys(row=rows.Binding, on=("keyid",), extra="t.unbound_at IS NULL"),
    "stations": ByKeys(row=rows.Station, on=("institution_code",)),
    "stations_locked": ByKeys(row=rows.Station, on=("institution_code",), lock="update"),
    "trainings": ByKeys(row=rows.Training, on=("institution_code", "operator_id")),
    "station_services": ByKeys(row=rows.StationService, on=("institution_code", "service")),
    "services_of_station": ByKeys(row=rows.StationService, on=("institution_code",)),
    "tariffs": ByKeys(row=rows.Tariff, on=("service",)),
    "commission_plans": ByKeys(row=rows.CommissionPlan, on=("service",)),
    "days": ByKeys(row=rows.Day, on=("account_date",)),
    "days_shared": ByKeys(row=rows.Day, on=("account_date",), lock="share"),
    "windows_shared": ByKeys(row=rows.Window, on=("biller", "settle_date"), lock="share"),
    "balances": ByKeys(row=rows.Balance, on=("institution_code",)),
    "balances_locked": ByKeys(row=rows.Balance, on=("institution_code",), lock="update"),
    "keys": ByKeys(row=rows.Key, on=("institution_code", "key")),
    "nonces": ByKeys(row=rows.Nonce, on=("bucket", "keyid", "nonce")),
    "settings": ByKeys(row=rows.Setting, on=("name",)),
    "settings_locked": ByKeys(row=rows.Setting, on=("name",), lock="update"),
    "payments": ByKeys(row=rows.Payment, on=("gateway_serial",)),
    "payments_archived": ByKeys(row=rows.Payment, on=("gateway_serial",), sql="SELECT * FROM archive_payments"),
    "payments_locked": ByKeys(row=rows.Payment, on=("gateway_serial",), lock="update"),
    "payments_open": ByKeys(
        row=rows.Payment,
        on=("biller", "biller_account", "amount_fen"),
        extra=f"t.state IN ({_OPEN}) AND t.kind <> 'REFUND'",
    ),
    "payments_open_locked": ByKeys(
        row=rows.Payment,
        on=("biller", "biller_account", "amount_fen"),
        extra=f"t.state IN ({_OPEN}) AND t.kind <> 'REFUND'",
        lock="update",
    ),
    "payments_paid_on": ByKeys(
        row=rows.Payment,
        on=("biller", "biller_account", "amount_fen", "account_date"),
        extra="t.state IN ('PAID_WAIT_WRITE', 'SUCCESS', 'WRITE_FAILED', 'WRITTEN') AND t.kind <> 'REFUND'",
    ),
    "payments_of_cards": ByKeys(
        row=rows.Payment,
        on=("biller", "biller_account"),
        extra="t.state IN ('PAID_WAIT_WRITE', 'WRITE_FAILED')",
    ),
    "payments_by_token": ByKeys(row=rows.Payment, on=("query_token",), extra="t.query_token IS NOT NULL"),
    "refunds_of": ByKeys(row=rows.Payment, on=("cancels",), extra="t.cancels IS NOT NULL"),
    "orders": ByKeys(row=rows.Order, on=("order_serial",)),
    "orders_of": ByKeys(row=rows.Order, on=("gateway_serial",)),
    "orders_by_partner_serial": ByKeys(row=rows.Order, on=("biller", "partner_serial")),
    "orders_in_turn": ByKeys(
        row=rows.Order, on=("biller", "biller_account"), extra="(t.state = 'READY' OR t.in_flight = 1)"
    ),
    "attempts": ByKeys(row=rows.Attempt, on=("attempt_id",)),
    "attempts_of": ByKeys(row=rows.Attempt, on=("order_serial",)),
    "transactions_of": ByKeys(row=rows.Transaction, on=("gateway_serial",), extra="t.gateway_serial IS NOT NULL"),
    "transactions": ByKeys(row=rows.Transaction, on=("txn_id",)),
    "postings": ByKeys(row=rows.Posting, on=("txn_id",)),
    "evidence_of": ByKeys(row=rows.EvidenceRow, on=("gateway_serial",)),
    "evidence_waiting": ByKeys(row=rows.EvidenceRow, on=("gateway_serial",), extra="t.waiting = 1"),
    "records_of": ByKeys(row=rows.Record, on=("gateway_serial",), extra="t.gateway_serial IS NOT NULL"),
    "breaks_of": ByKeys(row=rows.Break, on=("gateway_serial",), extra="t.gateway_serial IS NOT NULL"),
    "query_tokens": ByKeys(row=rows.QueryToken, on=("query_token",)),
    "vouchers": ByKeys(row=rows.Voucher, on=("voucher_number",)),
    "authorizations": ByKeys(row=rows.Authorization, on=("authorization_id",)),
    "authorizations_for": ByKeys(
        row=rows.Authorization,
        on=("institution_code", "service", "biller_account", "amount_fen", "valid_on"),
        extra="t.kind = 'over-limit' AND t.used_by IS NULL AND t.revoked_by IS NULL",
    ),
    "alarms": ByKeys(row=rows.Alarm, on=("alarm_id",)),
    "attachments": ByKeys(row=rows.Attachment, on=("sha256",)),
    "attachment_names": ByKeys(
        row=rows.AttachmentName, on=("sha256",), sql="SELECT sha256, name, size FROM attachments"
    ),
    "biller_controls": ByKeys(row=rows.BillerControl, on=("biller",)),
    "biller_controls_locked": ByKeys(row=rows.BillerControl, on=("biller",), lock="update"),
    "leases": ByKeys(row=rows.Lease, on=("name",)),
    "leases_locked": ByKeys(row=rows.Lease, on=("name",), lock="update"),
    # Whoever renews updates no key, so that it never waits for claims, however many follow one another.
    "allowances_held": ByKeys(row=rows.Allowance, on=("biller", "share", "worker"), lock="key share"),
    "allowances_of": ByKeys(row=rows.Allowance, on=("biller",)),
    "pools_locked": ByKeys(row=rows.Allowance, on=("biller", "share", "worker"), lock="update"),
    "calls_of": ByKeys(row=rows.Calling, on=("biller",), sql=_CALLS),
    "outbox": ByKeys(row=rows.OutboxRow, on=("message_id",), extra="t.published_at IS NULL", lock="update"),
    "archive_totals_locked": ByKeys(row=rows.ArchiveTotal, on=("month", "account", "owner"), lock="update"),
    "partner_counters_locked": ByKeys(row=rows.PartnerCounter, on=("biller", "day"), lock="update"),
    "seals": ByKeys(row=rows.Seal, on=("day",)),
    "dead_letters_by_origin": ByKeys(row=rows.DeadLetter, on=("origin",)),
    "dead_letters_locked": ByKeys(row=rows.DeadLetter, on=("letter_id",), lock="update"),
    "letter_heads": ByKeys(row=rows.LetterHead, on=("letter_id",), sql="SELECT * FROM dead_letters"),
    "replay_plans": ByKeys(row=rows.ReplayPlan, on=("plan_sha256",)),
    "replay_plans_locked": ByKeys(row=rows.ReplayPlan, on=("plan_sha256",), lock="update"),
    "replay_files": ByKeys(row=rows.ReplayFile, on=("plan_sha256",)),
    "replay_steps": ByKeys(row=rows.ReplayStep, on=("plan_sha256", "number")),
}

SCANNED: Mapping[str, Scanned] = {
    "alarms_unseen": Scanned(
        row=rows.Alarm,
        sql="FROM alarms t WHERE t.kind = :kind AND t.seen_at IS NULL AND t.raised_at <= :until"
        " ORDER BY t.raised_at LIMIT :limit",
    ),
    "allowances": Scanned(
        row=rows.Allowance,
        sql="FROM allowances t WHERE t.share = :share AND t.expires_at > :now ORDER BY t.biller, t.worker",
    ),
    # One whose process is in the midst of a claim cannot be locked now: it is taken for held until next time.
    "allowances_ended": Scanned(
        row=rows.Allowance,
        sql="FROM allowances t WHERE t.expires_at <= :now AND t.concurrency + t.rate_per_s > 0"
        " ORDER BY t.biller, t.share, t.worker",
        lock="skip",
    ),
    "orders_ready": Scanned(
        row=rows.Order,
        sql="FROM orders t WHERE t.state = 'READY' AND t.hold = 0 AND t.next_try_at <= :now"
        " AND (t.next_try_at > :after_at OR t.next_try_at = :after_at AND t.order_serial > :after_serial)"
        " ORDER BY t.next_try_at, t.order_serial LIMIT :limit",
    ),
    "orders_expired": Scanned(
        row=rows.Order,
        sql="FROM orders t WHERE t.state = 'READY' AND t.send_before < :now ORDER BY t.send_before LIMIT :limit",
    ),
    "orders_overdue": Scanned(
        row=rows.Order,
        sql="FROM orders t WHERE t.in_flight = 1 AND t.call_deadline < :now ORDER BY t.call_deadline LIMIT :limit",
    ),
    "orders_undecided": Scanned(
        row=rows.Order,
        sql="FROM orders t WHERE t.order_serial > :after AND t.state IN ('READY', 'SENT', 'UNKNOWN')"
        " ORDER BY t.order_serial LIMIT :limit",
    ),
    "orders_to_ask": Scanned(
        row=rows.Order,
        sql="FROM orders t WHERE t.state IN ('SENT', 'UNKNOWN') AND t.in_flight = 0 AND t.ask_at <= :now"
        " ORDER BY t.ask_at, t.order_serial LIMIT :limit",
    ),
    "outbox_unpublished": Scanned(
        row=rows.OutboxRow,
        sql="FROM outbox t WHERE t.published_at IS NULL AND t.created_at <= :before ORDER BY t.message_id LIMIT :limit",
        lock="skip",
    ),
    "records_unsealed": Scanned(
        row=rows.Record, sql="FROM records t WHERE t.day IS NULL ORDER BY t.record_id LIMIT :limit", lock="skip"
    ),
    "record_last_sealed": Scanned(
        row=rows.Record,
        sql="FROM records t WHERE t.day = (SELECT max(day) FROM records WHERE day IS NOT NULL)"
        " ORDER BY t.position DESC LIMIT 1",
    ),
    "revocation_list_newest": Scanned(
        row=rows.RevocationList,
        sql="FROM revocation_lists t WHERE t.issuer_keyid = :issuer_keyid ORDER BY t.number DESC LIMIT 1",
    ),
    "seal_last": Scanned(row=rows.Seal, sql="FROM seals t ORDER BY t.day DESC LIMIT 1"),
    "seals_unsigned": Scanned(row=rows.Seal, sql="FROM seals t WHERE t.signature IS NULL ORDER BY t.day"),
    "staff_all": Scanned(row=rows.StaffMember, sql="FROM staff t ORDER BY t.staff_id"),
    "staff_any": Scanned(row=rows.StaffMember, sql="FROM staff t ORDER BY t.staff_id LIMIT 1"),
    "certificates_ended": Scanned(
        row=rows.RegisteredCertificate,
        sql="FROM certificates t WHERE t.state IN ('ACTIVE', 'BOUND', 'FROZEN', 'ISSUED') AND t.not_after <= :now"
        " ORDER BY t.not_after LIMIT :limit",
    ),
    "payments_of_station_open": Scanned(
        row=rows.Payment,
        sql=f"FROM payments t WHERE t.institution_code = :institution_code AND t.state IN ({_OPEN})"
        " ORDER BY t.gateway_serial DESC LIMIT 1",
    ),
    "stations_page": Scanned(
        row=rows.Station,
        sql="FROM stations t WHERE t.institution_code > :after ORDER BY t.institution_code LIMIT :limit",
    ),
    "days_all": Scanned(row=rows.Day, sql="FROM days t ORDER BY t.account_date"),
    "payments_unfinished": Scanned(
        row=rows.Payment,
        sql=f"FROM payments t WHERE t.state IN ({_OPEN}) AND t.kind <> 'REFUND' AND t.account_date < :before"
        " ORDER BY t.biller, t.biller_account, t.amount_fen LIMIT 1000",
    ),
    "refunds_unfinished": Scanned(
        row=rows.Payment,
        sql=f"FROM payments t WHERE t.cancels IS NOT NULL AND t.state IN ({_OPEN}) AND t.account_date < :before"
        " ORDER BY t.cancels LIMIT 1000",
    ),
    "payments_to_archive": Scanned(
        row=rows.Payment,
        sql="FROM payments t WHERE t.gateway_serial > :after AND t.gateway_serial < :until AND t.account_date < :before"
        " ORDER BY t.gateway_serial LIMIT :limit",
    ),
    "records_to_archive": Scanned(
        row=rows.Record,
        sql="FROM records t WHERE t.record_id > :after AND t.record_id < :until AND t.day < :before"
        " ORDER BY t.record_id LIMIT :limit",
    ),
    "outbox_to_archive": Scanned(
        row=rows.OutboxRow,
        sql="FROM outbox t WHERE t.message_id > :after AND t.message_id < :until AND t.published_at IS NOT NULL"
        " ORDER BY t.message_id LIMIT :limit",
    ),
    "payments_page": Scanned(
        row=rows.Payment,
        sql="FROM payments t WHERE t.institution_code = :institution_code AND t.gateway_serial < :before"
        " AND (CAST(:account_date AS TEXT) IS NULL OR t.account_date = CAST(:account_date AS TEXT))"
        " AND (CAST(:biller_account AS TEXT) IS NULL OR t.biller_account = CAST(:biller_account AS TEXT))"
        " AND (CAST(:state AS TEXT) IS NULL OR t.state = CAST(:state AS TEXT))"
        " ORDER BY t.gateway_serial DESC LIMIT :limit",
    ),
    "letter_heads_page": Scanned(
        row=rows.LetterHead,
        sql="FROM dead_letters t WHERE t.letter_id > :after AND (t.state = :state OR t.state = :other)"
        " AND (CAST(:biller AS TEXT) IS NULL OR t.biller = CAST(:biller AS TEXT))"
        " AND (CAST(:reason AS TEXT) IS NULL OR t.reason = CAST(:reason AS TEXT))"
        " AND (CAST(:institution_code AS TEXT) IS NULL OR t.institution_code = CAST(:institution_code AS TEXT))"
        " AND (CAST(:biller_account AS TEXT) IS NULL OR t.biller_account = CAST(:biller_account AS TEXT))"
        " AND (CAST(:since AS BIGINT) IS NULL OR t.buried_at >= CAST(:since AS BIGINT))"
        " AND (CAST(:until AS BIGINT) IS NULL OR t.buried_at < CAST(:until AS BIGINT))"
        " ORDER BY t.letter_id LIMIT :limit",
    ),
    "replay_steps_due": Scanned(
        row=rows.ReplayStep,
        sql="FROM replay_steps t WHERE t.plan_sha256 = :plan AND t.number > :after AND t.outcome IS NULL"
        " ORDER BY t.number LIMIT :limit",
    ),
    "entries_page": Scanned(
        row=rows.Posting,
        sql="FROM postings t WHERE t.owner = :institution_code AND t.seq < :before ORDER BY t.seq DESC LIMIT :limit",
    ),
}

PURGES: Mapping[str, str] = {
    "nonces_before": "DELETE FROM nonces WHERE bucket < :bucket",
    "allowances_before": "DELETE FROM allowances WHERE expires_at < :before AND worker <> ''",
}
"""Statements that delete. Only nonces, whose floor is raised in the same commit, and what ended processes held."""
