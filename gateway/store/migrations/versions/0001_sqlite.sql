CREATE TABLE alarms (
  alarm_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  biller TEXT,
  gateway_serial TEXT,
  detail TEXT NOT NULL,
  raised_at INTEGER NOT NULL,
  seen_at INTEGER,
  CONSTRAINT pk_alarms PRIMARY KEY (alarm_id)
)
 STRICT;

CREATE TABLE allowances (
  biller TEXT NOT NULL,
  share TEXT NOT NULL,
  worker TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  rate_per_s INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  closed_until INTEGER NOT NULL,
  CONSTRAINT pk_allowances PRIMARY KEY (biller, share, worker),
  CONSTRAINT ck_allowances_share CHECK (share = 'calls' OR share = 'questions'),
  CONSTRAINT ck_allowances_amounts CHECK (concurrency >= 0 AND rate_per_s >= 0)
)
 STRICT;

CREATE TABLE approvals (
  plan_sha256 TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  "plan" BLOB NOT NULL,
  prepared_by TEXT NOT NULL,
  prepared_at INTEGER NOT NULL,
  prepared_keyid TEXT NOT NULL,
  prepared_record TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL,
  decided_by TEXT,
  decided_at INTEGER,
  decision TEXT,
  signature BLOB,
  keyid TEXT,
  decided_record TEXT,
  CONSTRAINT pk_approvals PRIMARY KEY (plan_sha256),
  CONSTRAINT ck_approvals_state CHECK (state = 'OPEN' OR state = 'APPROVED' OR state = 'REJECTED' OR state = 'DONE'),
  CONSTRAINT ck_approvals_people CHECK (state = 'OPEN' OR state = 'REJECTED' OR decided_by <> prepared_by),
  CONSTRAINT ck_approvals_signed CHECK (state = 'OPEN' OR decided_by IS NOT NULL AND signature IS NOT NULL AND keyid IS NOT NULL)
)
 STRICT;

CREATE TABLE archive_attempts (
  attempt_id TEXT NOT NULL,
  order_serial TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  send_by INTEGER NOT NULL,
  call_deadline INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  resp_code TEXT,
  cause TEXT,
  CONSTRAINT pk_archive_attempts PRIMARY KEY (attempt_id),
  CONSTRAINT ck_archive_attempts_number CHECK (attempt >= 1),
  CONSTRAINT ck_archive_attempts_times CHECK (claimed_at <= send_by AND send_by <= call_deadline)
)
 STRICT;

CREATE TABLE archive_evidence (
  evidence_id TEXT NOT NULL,
  gateway_serial TEXT NOT NULL,
  order_serial TEXT NOT NULL,
  record_id TEXT,
  sent TEXT,
  source TEXT NOT NULL,
  event TEXT NOT NULL,
  effect TEXT NOT NULL,
  waiting INTEGER NOT NULL,
  biller_serial TEXT,
  paid_fen INTEGER,
  biller_date TEXT,
  resp_code TEXT,
  cause TEXT,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_archive_evidence PRIMARY KEY (evidence_id),
  CONSTRAINT ck_archive_evidence_waiting_flag CHECK (waiting BETWEEN 0 AND 1)
)
 STRICT;

CREATE TABLE archive_orders (
  order_serial TEXT NOT NULL,
  gateway_serial TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  biller TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  partner_serial TEXT NOT NULL,
  original_serial TEXT,
  from_state TEXT,
  in_flight INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  send_before INTEGER NOT NULL,
  send_by INTEGER,
  call_deadline INTEGER,
  next_try_at INTEGER,
  ask_at INTEGER,
  result_due_at INTEGER,
  rung INTEGER NOT NULL,
  asks INTEGER NOT NULL,
  hold INTEGER NOT NULL,
  biller_serial TEXT,
  reason TEXT,
  resp_code TEXT,
  voided_by TEXT,
  note TEXT,
  ended_at INTEGER,
  ruling TEXT,
  CONSTRAINT pk_archive_orders PRIMARY KEY (order_serial),
  CONSTRAINT ck_archive_orders_in_flight_flag CHECK (in_flight BETWEEN 0 AND 1),
  CONSTRAINT ck_archive_orders_hold_flag CHECK (hold BETWEEN 0 AND 1),
  CONSTRAINT ck_archive_orders_kind CHECK (kind = 'PAY' OR kind = 'REVERSE' OR kind = 'CANCEL' OR kind = 'REFUND' OR kind = 'WRITE_CONFIRM' OR kind = 'DEBIT' OR kind = 'PAYOUT'),
  CONSTRAINT ck_archive_orders_state CHECK (state = 'READY' OR state = 'SENT' OR state = 'DONE' OR state = 'REFUSED' OR state = 'UNKNOWN' OR state = 'VOID'),
  CONSTRAINT ck_archive_orders_attempts CHECK (attempts >= 0)
)
 STRICT;

CREATE TABLE archive_outbox (
  message_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  "key" TEXT NOT NULL,
  payload BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  published_at INTEGER,
  CONSTRAINT pk_archive_outbox PRIMARY KEY (message_id)
)
 STRICT;

CREATE TABLE archive_payments (
  gateway_serial TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  institution_code TEXT NOT NULL,
  terminal_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  terminal_trace TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  service TEXT NOT NULL,
  biller TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  fee_fen INTEGER NOT NULL,
  paid_fen INTEGER,
  account_date TEXT NOT NULL,
  settle_date TEXT NOT NULL,
  biller_date TEXT,
  accepted_at INTEGER NOT NULL,
  send_before INTEGER NOT NULL,
  final_at INTEGER,
  biller_serial TEXT,
  reason TEXT,
  resp_code TEXT,
  in_doubt_since INTEGER,
  tariff_version TEXT NOT NULL,
  commission_version TEXT NOT NULL,
  confirmed_repeat INTEGER NOT NULL,
  confirmed_beside TEXT,
  query_token TEXT,
  params TEXT NOT NULL,
  cash_received_fen INTEGER,
  cancels TEXT,
  write_data TEXT,
  purchase_count INTEGER,
  ruling TEXT,
  trace_id TEXT NOT NULL,
  CONSTRAINT pk_archive_payments PRIMARY KEY (gateway_serial),
  CONSTRAINT ck_archive_payments_confirmed_repeat_flag CHECK (confirmed_repeat BETWEEN 0 AND 1),
  CONSTRAINT ck_archive_payments_kind CHECK (kind = 'PAY' OR kind = 'DEBIT' OR kind = 'REFUND'),
  CONSTRAINT ck_archive_payments_state CHECK (state = 'RESERVED' OR state = 'SENT' OR state = 'SUCCESS' OR state = 'FAILED' OR state = 'UNKNOWN' OR state = 'REVERSING' OR state = 'REVERSED' OR state = 'CANCELLING' OR state = 'CANCELLED' OR state = 'PAID_WAIT_WRITE' OR state = 'WRITTEN' OR state = 'WRITE_FAILED'),
  CONSTRAINT ck_archive_payments_amount CHECK (amount_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_archive_payments_fee CHECK (fee_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_archive_payments_paid CHECK (paid_fen BETWEEN 0 AND 10000000000000)
)
 STRICT;

CREATE TABLE archive_postings (
  txn_id TEXT NOT NULL,
  leg INTEGER NOT NULL,
  recipe TEXT NOT NULL,
  account TEXT NOT NULL,
  owner TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  balance_after INTEGER,
  seq INTEGER,
  CONSTRAINT pk_archive_postings PRIMARY KEY (txn_id, leg),
  CONSTRAINT ck_archive_postings_leg CHECK (leg >= 0),
  CONSTRAINT ck_archive_postings_amount CHECK (amount_fen BETWEEN -10000000000000 AND 10000000000000)
)
 STRICT;

CREATE TABLE archive_records (
  record_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  institution_code TEXT,
  gateway_serial TEXT,
  keyid TEXT,
  base BLOB NOT NULL,
  signature BLOB NOT NULL,
  body BLOB NOT NULL,
  leaf BLOB NOT NULL,
  day TEXT,
  position INTEGER,
  chain BLOB,
  CONSTRAINT pk_archive_records PRIMARY KEY (record_id),
  CONSTRAINT ck_archive_records_sealed CHECK ((day IS NULL) = (position IS NULL) AND (day IS NULL) = (chain IS NULL))
)
 STRICT;

CREATE TABLE archive_totals (
  month TEXT NOT NULL,
  account TEXT NOT NULL,
  owner TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  legs INTEGER NOT NULL,
  CONSTRAINT pk_archive_totals PRIMARY KEY (month, account, owner),
  CONSTRAINT ck_archive_totals_legs CHECK (legs > 0)
)
 STRICT;

CREATE TABLE archive_transactions (
  txn_id TEXT NOT NULL,
  recipe TEXT NOT NULL,
  gateway_serial TEXT,
  order_serial TEXT,
  posting_date TEXT NOT NULL,
  account_date TEXT,
  settle_date TEXT,
  cause TEXT NOT NULL,
  cause_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_archive_transactions PRIMARY KEY (txn_id)
)
 STRICT;

CREATE TABLE attachments (
  sha256 TEXT NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  body BLOB NOT NULL,
  kept_at INTEGER NOT NULL,
  CONSTRAINT pk_attachments PRIMARY KEY (sha256),
  CONSTRAINT ck_attachments_size CHECK (size BETWEEN 1 AND 5242880)
)
 STRICT;

CREATE TABLE biller_controls (
  biller TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  shop_text TEXT,
  reopens_at INTEGER,
  concurrency INTEGER,
  rate_per_s INTEGER,
  changed_by TEXT,
  changed_at INTEGER,
  record_id TEXT,
  limits_by TEXT,
  limits_at INTEGER,
  limits_reason TEXT,
  limits_record_id TEXT,
  version INTEGER NOT NULL,
  CONSTRAINT pk_biller_controls PRIMARY KEY (biller),
  CONSTRAINT ck_biller_controls_state CHECK (state = 'OPEN' OR state = 'PAUSED' OR state = 'DRAINING'),
  CONSTRAINT ck_biller_controls_limits CHECK ((concurrency IS NULL OR concurrency > 0) AND (rate_per_s IS NULL OR rate_per_s > 0)),
  CONSTRAINT ck_biller_controls_said CHECK (state = 'OPEN' OR record_id IS NOT NULL),
  CONSTRAINT ck_biller_controls_limits_said CHECK ((concurrency IS NULL AND rate_per_s IS NULL) OR limits_record_id IS NOT NULL)
)
 STRICT;

CREATE TABLE breaks (
  break_id TEXT NOT NULL,
  code TEXT NOT NULL,
  biller TEXT NOT NULL,
  gateway_serial TEXT,
  evidence_id TEXT,
  amount_fen INTEGER NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  resolution TEXT,
  ruling TEXT,
  CONSTRAINT pk_breaks PRIMARY KEY (break_id)
)
 STRICT;

CREATE TABLE certificate_requests (
  request_id TEXT NOT NULL,
  profile TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  terminal_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  name TEXT NOT NULL,
  staff_id TEXT,
  key_serial TEXT NOT NULL,
  csr BLOB NOT NULL,
  public_key_sha256 TEXT NOT NULL,
  renews TEXT,
  state TEXT NOT NULL,
  applied_by TEXT NOT NULL,
  applied_at INTEGER NOT NULL,
  decided_by TEXT,
  decided_at INTEGER,
  reason TEXT,
  keyid TEXT,
  CONSTRAINT pk_certificate_requests PRIMARY KEY (request_id),
  CONSTRAINT ck_certificate_requests_state CHECK (state = 'APPLIED' OR state = 'APPROVED' OR state = 'ISSUED' OR state = 'REFUSED'),
  CONSTRAINT ck_certificate_requests_people CHECK (state = 'APPLIED' OR state = 'REFUSED' OR decided_by <> applied_by),
  CONSTRAINT ck_certificate_requests_decided CHECK ((state = 'APPLIED') = (decided_by IS NULL)),
  CONSTRAINT ck_certificate_requests_issued CHECK ((state = 'ISSUED') = (keyid IS NOT NULL))
)
 STRICT;

CREATE TABLE certificate_steps (
  subject TEXT NOT NULL,
  number INTEGER NOT NULL,
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  at INTEGER NOT NULL,
  staff TEXT NOT NULL,
  deed TEXT,
  record_id TEXT,
  reason TEXT,
  CONSTRAINT pk_certificate_steps PRIMARY KEY (subject, number),
  CONSTRAINT ck_certificate_steps_number CHECK (number >= 1)
)
 STRICT;

CREATE TABLE commission_plans (
  version TEXT NOT NULL,
  service TEXT NOT NULL,
  effective_from TEXT NOT NULL,
  rate_ppm INTEGER NOT NULL,
  station_tenths INTEGER NOT NULL,
  rounding TEXT NOT NULL,
  CONSTRAINT pk_commission_plans PRIMARY KEY (version, service),
  CONSTRAINT ck_commission_plans_rate CHECK (rate_ppm BETWEEN 0 AND 1000000),
  CONSTRAINT ck_commission_plans_share CHECK (station_tenths BETWEEN 0 AND 10)
)
 STRICT;

CREATE TABLE days (
  account_date TEXT NOT NULL,
  state TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER,
  CONSTRAINT pk_days PRIMARY KEY (account_date),
  CONSTRAINT ck_days_state CHECK (state = 'OPEN' OR state = 'CLOSED')
)
 STRICT;

CREATE TABLE dead_letters (
  letter_id TEXT NOT NULL,
  origin TEXT NOT NULL,
  topic TEXT NOT NULL,
  "key" TEXT NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  body_sha256 TEXT NOT NULL,
  reason TEXT NOT NULL,
  buried_at INTEGER NOT NULL,
  kept_at INTEGER NOT NULL,
  worker TEXT NOT NULL,
  message TEXT,
  gateway_serial TEXT,
  order_serial TEXT,
  order_kind TEXT,
  biller TEXT,
  institution_code TEXT,
  biller_account TEXT,
  amount_fen INTEGER,
  state TEXT NOT NULL,
  corrects TEXT,
  runs INTEGER NOT NULL,
  record_id TEXT,
  CONSTRAINT pk_dead_letters PRIMARY KEY (letter_id),
  CONSTRAINT ck_dead_letters_reason CHECK (reason = 'malformed' OR reason = 'oversized' OR reason = 'unknown-version' OR reason = 'unknown-order' OR reason = 'wrong-biller' OR reason = 'replayed'),
  CONSTRAINT ck_dead_letters_state CHECK (state = 'OPEN' OR state = 'QUARANTINED' OR state = 'CLOSED'),
  CONSTRAINT ck_dead_letters_amount CHECK (amount_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_dead_letters_runs CHECK (runs >= 0)
)
 STRICT;

CREATE TABLE idempotency_keys (
  institution_code TEXT NOT NULL,
  "key" TEXT NOT NULL,
  kind TEXT NOT NULL,
  request_hash BLOB,
  gateway_serial TEXT,
  problem BLOB,
  arrival_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_idempotency_keys PRIMARY KEY (institution_code, "key"),
  CONSTRAINT ck_idempotency_keys_kind CHECK (kind = 'PAYMENT' OR kind = 'REFUSED' OR kind = 'TOMBSTONE' OR kind = 'UNDECIDED'),
  CONSTRAINT ck_idempotency_keys_payment CHECK (kind <> 'PAYMENT' OR gateway_serial IS NOT NULL),
  CONSTRAINT ck_idempotency_keys_refused CHECK (kind <> 'REFUSED' OR problem IS NOT NULL)
)
 STRICT;

CREATE TABLE leases (
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  until INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  memo BLOB,
  CONSTRAINT pk_leases PRIMARY KEY (name)
)
 STRICT;

CREATE TABLE nonces (
  bucket INTEGER NOT NULL,
  keyid TEXT NOT NULL,
  nonce TEXT NOT NULL,
  arrival_id TEXT NOT NULL,
  created INTEGER NOT NULL,
  CONSTRAINT pk_nonces PRIMARY KEY (bucket, keyid, nonce)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE outbox (
  message_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  "key" TEXT NOT NULL,
  payload BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  published_at INTEGER,
  CONSTRAINT pk_outbox PRIMARY KEY (message_id)
)
 STRICT;

CREATE TABLE partner_certificates (
  biller TEXT NOT NULL,
  keyid TEXT NOT NULL,
  der BLOB NOT NULL,
  use TEXT NOT NULL,
  public_key_sha256 TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  state TEXT NOT NULL,
  added_by TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  approved_by TEXT,
  approved_at INTEGER,
  reason TEXT,
  CONSTRAINT pk_partner_certificates PRIMARY KEY (biller, keyid),
  CONSTRAINT ck_partner_certificates_use CHECK (use = 'sign' OR use = 'tls' OR use = 'ca' OR use = 'watch'),
  CONSTRAINT ck_partner_certificates_state CHECK (state = 'PREPARED' OR state = 'ACTIVE' OR state = 'CLOSED'),
  CONSTRAINT ck_partner_certificates_valid CHECK (not_before < not_after),
  CONSTRAINT ck_partner_certificates_people CHECK (state <> 'ACTIVE' OR approved_by <> added_by)
)
 STRICT;

CREATE TABLE partner_counters (
  biller TEXT NOT NULL,
  day TEXT NOT NULL,
  next_number INTEGER NOT NULL,
  CONSTRAINT pk_partner_counters PRIMARY KEY (biller, day),
  CONSTRAINT ck_partner_counters_next CHECK (next_number >= 1)
)
 STRICT;

CREATE TABLE payments (
  gateway_serial TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  institution_code TEXT NOT NULL,
  terminal_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  terminal_trace TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  service TEXT NOT NULL,
  biller TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  fee_fen INTEGER NOT NULL,
  paid_fen INTEGER,
  account_date TEXT NOT NULL,
  settle_date TEXT NOT NULL,
  biller_date TEXT,
  accepted_at INTEGER NOT NULL,
  send_before INTEGER NOT NULL,
  final_at INTEGER,
  biller_serial TEXT,
  reason TEXT,
  resp_code TEXT,
  in_doubt_since INTEGER,
  tariff_version TEXT NOT NULL,
  commission_version TEXT NOT NULL,
  confirmed_repeat INTEGER NOT NULL,
  confirmed_beside TEXT,
  query_token TEXT,
  params TEXT NOT NULL,
  cash_received_fen INTEGER,
  cancels TEXT,
  write_data TEXT,
  purchase_count INTEGER,
  ruling TEXT,
  trace_id TEXT NOT NULL,
  CONSTRAINT pk_payments PRIMARY KEY (gateway_serial),
  CONSTRAINT ck_payments_confirmed_repeat_flag CHECK (confirmed_repeat BETWEEN 0 AND 1),
  CONSTRAINT ck_payments_kind CHECK (kind = 'PAY' OR kind = 'DEBIT' OR kind = 'REFUND'),
  CONSTRAINT ck_payments_state CHECK (state = 'RESERVED' OR state = 'SENT' OR state = 'SUCCESS' OR state = 'FAILED' OR state = 'UNKNOWN' OR state = 'REVERSING' OR state = 'REVERSED' OR state = 'CANCELLING' OR state = 'CANCELLED' OR state = 'PAID_WAIT_WRITE' OR state = 'WRITTEN' OR state = 'WRITE_FAILED'),
  CONSTRAINT ck_payments_amount CHECK (amount_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_payments_fee CHECK (fee_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_payments_paid CHECK (paid_fen BETWEEN 0 AND 10000000000000)
)
 STRICT;

CREATE TABLE records (
  record_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  institution_code TEXT,
  gateway_serial TEXT,
  keyid TEXT,
  base BLOB NOT NULL,
  signature BLOB NOT NULL,
  body BLOB NOT NULL,
  leaf BLOB NOT NULL,
  day TEXT,
  position INTEGER,
  chain BLOB,
  CONSTRAINT pk_records PRIMARY KEY (record_id),
  CONSTRAINT ck_records_sealed CHECK ((day IS NULL) = (position IS NULL) AND (day IS NULL) = (chain IS NULL))
)
 STRICT;

CREATE TABLE replay_plans (
  plan_sha256 TEXT NOT NULL,
  items INTEGER NOT NULL,
  fen INTEGER NOT NULL,
  kept_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  spread INTEGER NOT NULL,
  done INTEGER NOT NULL,
  approval TEXT,
  run_record TEXT,
  CONSTRAINT pk_replay_plans PRIMARY KEY (plan_sha256),
  CONSTRAINT ck_replay_plans_state CHECK (state = 'KEPT' OR state = 'APPROVED' OR state = 'RUNNING' OR state = 'DONE'),
  CONSTRAINT ck_replay_plans_steps CHECK (items >= 1 AND spread BETWEEN 0 AND items AND done BETWEEN 0 AND spread),
  CONSTRAINT ck_replay_plans_approved CHECK ((state = 'KEPT') = (approval IS NULL)),
  CONSTRAINT ck_replay_plans_run CHECK ((state = 'RUNNING' OR state = 'DONE') = (run_record IS NOT NULL)),
  CONSTRAINT ck_replay_plans_ended CHECK (state <> 'DONE' OR done = items)
)
 STRICT;

CREATE TABLE revocation_lists (
  issuer_keyid TEXT NOT NULL,
  number INTEGER NOT NULL,
  der BLOB NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  CONSTRAINT pk_revocation_lists PRIMARY KEY (issuer_keyid, number),
  CONSTRAINT ck_revocation_lists_number CHECK (number >= 0),
  CONSTRAINT ck_revocation_lists_times CHECK (this_update <= published_at AND published_at < next_update)
)
 STRICT;

CREATE TABLE seals (
  day TEXT NOT NULL,
  count INTEGER NOT NULL,
  root BLOB NOT NULL,
  chain_end BLOB NOT NULL,
  statement BLOB NOT NULL,
  keyid TEXT,
  signature BLOB,
  signed_at INTEGER,
  CONSTRAINT pk_seals PRIMARY KEY (day),
  CONSTRAINT ck_seals_count CHECK (count >= 0),
  CONSTRAINT ck_seals_signed CHECK ((signature IS NULL) = (signed_at IS NULL))
)
 STRICT;

CREATE TABLE settings (
  name TEXT NOT NULL,
  value INTEGER NOT NULL,
  CONSTRAINT pk_settings PRIMARY KEY (name)
)
 STRICT;

CREATE TABLE staff (
  staff_id TEXT NOT NULL,
  name TEXT NOT NULL,
  department TEXT NOT NULL,
  state TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  state_at INTEGER NOT NULL,
  CONSTRAINT pk_staff PRIMARY KEY (staff_id),
  CONSTRAINT ck_staff_state CHECK (state = 'ACTIVE' OR state = 'LEFT')
)
 STRICT;

CREATE TABLE stations (
  institution_code TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  overdraft_limit_fen INTEGER NOT NULL,
  low_balance_fen INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_stations PRIMARY KEY (institution_code),
  CONSTRAINT ck_stations_state CHECK (state = 'ACTIVE' OR state = 'SUSPENDED' OR state = 'CLOSED'),
  CONSTRAINT ck_stations_overdraft CHECK (overdraft_limit_fen >= 0)
)
 STRICT;

CREATE TABLE tariffs (
  version TEXT NOT NULL,
  service TEXT NOT NULL,
  effective_from TEXT NOT NULL,
  fee_fen INTEGER NOT NULL,
  min_fen INTEGER NOT NULL,
  max_fen INTEGER NOT NULL,
  send_before_s INTEGER NOT NULL,
  reverse_after_s INTEGER NOT NULL,
  fee_returns_on_cancel INTEGER NOT NULL,
  cancel_needs_authorization INTEGER NOT NULL,
  CONSTRAINT pk_tariffs PRIMARY KEY (version, service),
  CONSTRAINT ck_tariffs_fee_returns_on_cancel_flag CHECK (fee_returns_on_cancel BETWEEN 0 AND 1),
  CONSTRAINT ck_tariffs_cancel_needs_authorization_flag CHECK (cancel_needs_authorization BETWEEN 0 AND 1),
  CONSTRAINT ck_tariffs_amounts CHECK (fee_fen >= 0 AND min_fen >= 0 AND min_fen <= max_fen),
  CONSTRAINT ck_tariffs_times CHECK (send_before_s > 0 AND reverse_after_s >= 0)
)
 STRICT;

CREATE TABLE transactions (
  txn_id TEXT NOT NULL,
  recipe TEXT NOT NULL,
  gateway_serial TEXT,
  order_serial TEXT,
  posting_date TEXT NOT NULL,
  account_date TEXT,
  settle_date TEXT,
  cause TEXT NOT NULL,
  cause_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_transactions PRIMARY KEY (txn_id)
)
 STRICT;

CREATE TABLE usb_keys (
  key_serial TEXT NOT NULL,
  state TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  holder TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  state_at INTEGER NOT NULL,
  reason TEXT,
  CONSTRAINT pk_usb_keys PRIMARY KEY (key_serial),
  CONSTRAINT ck_usb_keys_state CHECK (state = 'DESTROYED' OR state = 'HANDING_OUT' OR state = 'IN_STOCK' OR state = 'ISSUED' OR state = 'LOST' OR state = 'RETURNED')
)
 STRICT;

CREATE TABLE windows (
  biller TEXT NOT NULL,
  settle_date TEXT NOT NULL,
  state TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  CONSTRAINT pk_windows PRIMARY KEY (biller, settle_date),
  CONSTRAINT ck_windows_state CHECK (state = 'OPEN' OR state = 'CLOSED' OR state = 'MATCHING' OR state = 'BALANCED' OR state = 'WITH_BREAKS' OR state = 'SETTLED')
)
 STRICT;

CREATE TABLE authorizations (
  authorization_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  service TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  valid_on TEXT NOT NULL,
  issued_by TEXT NOT NULL,
  issued_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  record_id TEXT NOT NULL,
  used_by TEXT,
  revoked_by TEXT,
  revoked_at INTEGER,
  CONSTRAINT pk_authorizations PRIMARY KEY (authorization_id),
  CONSTRAINT ck_authorizations_kind CHECK (kind = 'cancel' OR kind = 'over-limit'),
  CONSTRAINT ck_authorizations_amount CHECK (amount_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_authorizations_once CHECK (used_by IS NULL OR revoked_by IS NULL),
  CONSTRAINT ck_authorizations_revoked CHECK ((revoked_by IS NULL) = (revoked_at IS NULL)),
  CONSTRAINT fk_authorizations_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE certificates (
  keyid TEXT NOT NULL,
  der BLOB NOT NULL,
  role TEXT NOT NULL,
  state TEXT NOT NULL,
  public_key_sha256 TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  registered_at INTEGER NOT NULL,
  serial TEXT NOT NULL,
  issuer_keyid TEXT NOT NULL,
  key_serial TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  reason TEXT,
  renews TEXT,
  staff_id TEXT,
  revoked_for TEXT,
  CONSTRAINT pk_certificates PRIMARY KEY (keyid),
  CONSTRAINT ck_certificates_state CHECK (state = 'ACTIVE' OR state = 'BOUND' OR state = 'EXPIRED' OR state = 'FROZEN' OR state = 'ISSUED' OR state = 'REPLACED' OR state = 'REVOKED'),
  CONSTRAINT ck_certificates_valid CHECK (not_before < not_after),
  CONSTRAINT ck_certificates_staff CHECK ((role = 'operator') = (staff_id IS NOT NULL)),
  CONSTRAINT ck_certificates_revoked CHECK (revoked_for IS NULL OR state = 'REVOKED'),
  CONSTRAINT fk_certificates_staff_id FOREIGN KEY(staff_id) REFERENCES staff (staff_id)
)
 STRICT;

CREATE TABLE evidence (
  evidence_id TEXT NOT NULL,
  gateway_serial TEXT NOT NULL,
  order_serial TEXT NOT NULL,
  record_id TEXT,
  sent TEXT,
  source TEXT NOT NULL,
  event TEXT NOT NULL,
  effect TEXT NOT NULL,
  waiting INTEGER NOT NULL,
  biller_serial TEXT,
  paid_fen INTEGER,
  biller_date TEXT,
  resp_code TEXT,
  cause TEXT,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_evidence PRIMARY KEY (evidence_id),
  CONSTRAINT ck_evidence_waiting_flag CHECK (waiting BETWEEN 0 AND 1),
  CONSTRAINT fk_evidence_gateway_serial FOREIGN KEY(gateway_serial) REFERENCES payments (gateway_serial)
)
 STRICT;

CREATE TABLE operators (
  institution_code TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_operators PRIMARY KEY (institution_code, operator_id),
  CONSTRAINT fk_operators_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE orders (
  order_serial TEXT NOT NULL,
  gateway_serial TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  biller TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  partner_serial TEXT NOT NULL,
  original_serial TEXT,
  from_state TEXT,
  in_flight INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  send_before INTEGER NOT NULL,
  send_by INTEGER,
  call_deadline INTEGER,
  next_try_at INTEGER,
  ask_at INTEGER,
  result_due_at INTEGER,
  rung INTEGER NOT NULL,
  asks INTEGER NOT NULL,
  hold INTEGER NOT NULL,
  biller_serial TEXT,
  reason TEXT,
  resp_code TEXT,
  voided_by TEXT,
  note TEXT,
  ended_at INTEGER,
  ruling TEXT,
  CONSTRAINT pk_orders PRIMARY KEY (order_serial),
  CONSTRAINT ck_orders_in_flight_flag CHECK (in_flight BETWEEN 0 AND 1),
  CONSTRAINT ck_orders_hold_flag CHECK (hold BETWEEN 0 AND 1),
  CONSTRAINT ck_orders_kind CHECK (kind = 'PAY' OR kind = 'REVERSE' OR kind = 'CANCEL' OR kind = 'REFUND' OR kind = 'WRITE_CONFIRM' OR kind = 'DEBIT' OR kind = 'PAYOUT'),
  CONSTRAINT ck_orders_state CHECK (state = 'READY' OR state = 'SENT' OR state = 'DONE' OR state = 'REFUSED' OR state = 'UNKNOWN' OR state = 'VOID'),
  CONSTRAINT ck_orders_attempts CHECK (attempts >= 0),
  CONSTRAINT fk_orders_gateway_serial FOREIGN KEY(gateway_serial) REFERENCES payments (gateway_serial)
)
 STRICT;

CREATE TABLE postings (
  txn_id TEXT NOT NULL,
  leg INTEGER NOT NULL,
  recipe TEXT NOT NULL,
  account TEXT NOT NULL,
  owner TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  balance_after INTEGER,
  seq INTEGER,
  CONSTRAINT pk_postings PRIMARY KEY (txn_id, leg),
  CONSTRAINT ck_postings_leg CHECK (leg >= 0),
  CONSTRAINT ck_postings_amount CHECK (amount_fen BETWEEN -10000000000000 AND 10000000000000),
  CONSTRAINT fk_postings_txn_id FOREIGN KEY(txn_id) REFERENCES transactions (txn_id)
)
 STRICT;

CREATE TABLE query_tokens (
  query_token TEXT NOT NULL,
  state TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  service TEXT NOT NULL,
  biller TEXT NOT NULL,
  biller_account TEXT NOT NULL,
  params TEXT NOT NULL,
  asked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  total_fen INTEGER,
  min_fen INTEGER,
  max_fen INTEGER,
  answer BLOB,
  echo TEXT,
  problem BLOB,
  CONSTRAINT pk_query_tokens PRIMARY KEY (query_token),
  CONSTRAINT ck_query_tokens_state CHECK (state = 'ASKED' OR state = 'ANSWERED' OR state = 'REFUSED'),
  CONSTRAINT fk_query_tokens_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE replay_files (
  plan_sha256 TEXT NOT NULL,
  body BLOB NOT NULL,
  CONSTRAINT pk_replay_files PRIMARY KEY (plan_sha256),
  CONSTRAINT fk_replay_files_plan_sha256 FOREIGN KEY(plan_sha256) REFERENCES replay_plans (plan_sha256)
)
 STRICT;

CREATE TABLE replay_steps (
  plan_sha256 TEXT NOT NULL,
  number INTEGER NOT NULL,
  letter_id TEXT NOT NULL,
  biller TEXT,
  verdict_planned TEXT NOT NULL,
  verdict_now TEXT,
  outcome TEXT,
  run_record TEXT,
  at INTEGER,
  CONSTRAINT pk_replay_steps PRIMARY KEY (plan_sha256, number),
  CONSTRAINT ck_replay_steps_number CHECK (number >= 1),
  CONSTRAINT ck_replay_steps_outcome CHECK (outcome = 'sent-again' OR outcome = 'asked' OR outcome = 'call-running' OR outcome = 'nothing' OR outcome = 'skipped'),
  CONSTRAINT ck_replay_steps_done CHECK ((outcome IS NULL) = (at IS NULL) AND (outcome IS NULL) = (run_record IS NULL) AND (outcome IS NULL) = (verdict_now IS NULL)),
  CONSTRAINT ck_replay_steps_as_planned CHECK (outcome IS NULL OR outcome = 'skipped' OR verdict_now = verdict_planned),
  CONSTRAINT fk_replay_steps_plan_sha256 FOREIGN KEY(plan_sha256) REFERENCES replay_plans (plan_sha256),
  CONSTRAINT fk_replay_steps_letter_id FOREIGN KEY(letter_id) REFERENCES dead_letters (letter_id)
)
 STRICT;

CREATE TABLE station_balances (
  institution_code TEXT NOT NULL,
  available_fen INTEGER NOT NULL,
  reserved_fen INTEGER NOT NULL,
  receivable_fen INTEGER NOT NULL,
  version INTEGER NOT NULL,
  CONSTRAINT pk_station_balances PRIMARY KEY (institution_code),
  CONSTRAINT ck_station_balances_available CHECK (available_fen BETWEEN -10000000000000 AND 10000000000000),
  CONSTRAINT ck_station_balances_reserved CHECK (reserved_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT ck_station_balances_receivable CHECK (receivable_fen BETWEEN 0 AND 10000000000000),
  CONSTRAINT fk_station_balances_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE station_services (
  institution_code TEXT NOT NULL,
  service TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  opened_at INTEGER NOT NULL,
  CONSTRAINT pk_station_services PRIMARY KEY (institution_code, service),
  CONSTRAINT fk_station_services_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE terminals (
  institution_code TEXT NOT NULL,
  terminal_id TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_terminals PRIMARY KEY (institution_code, terminal_id),
  CONSTRAINT fk_terminals_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code)
)
 STRICT;

CREATE TABLE usb_key_steps (
  key_serial TEXT NOT NULL,
  number INTEGER NOT NULL,
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  holder TEXT NOT NULL,
  at INTEGER NOT NULL,
  prepared_by TEXT,
  staff TEXT NOT NULL,
  deed TEXT,
  record_id TEXT,
  reason TEXT,
  CONSTRAINT pk_usb_key_steps PRIMARY KEY (key_serial, number),
  CONSTRAINT ck_usb_key_steps_people CHECK (prepared_by IS NULL OR prepared_by <> staff),
  CONSTRAINT fk_usb_key_steps_key_serial FOREIGN KEY(key_serial) REFERENCES usb_keys (key_serial)
)
 STRICT;

CREATE TABLE vouchers (
  voucher_number TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  amount_fen INTEGER NOT NULL,
  outlet TEXT NOT NULL,
  taken_by TEXT NOT NULL,
  txn_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT pk_vouchers PRIMARY KEY (voucher_number),
  CONSTRAINT ck_vouchers_amount CHECK (amount_fen BETWEEN 1 AND 10000000000000),
  CONSTRAINT fk_vouchers_institution_code FOREIGN KEY(institution_code) REFERENCES stations (institution_code),
  CONSTRAINT fk_vouchers_txn_id FOREIGN KEY(txn_id) REFERENCES transactions (txn_id)
)
 STRICT;

CREATE TABLE attempts (
  attempt_id TEXT NOT NULL,
  order_serial TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  send_by INTEGER NOT NULL,
  call_deadline INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  resp_code TEXT,
  cause TEXT,
  CONSTRAINT pk_attempts PRIMARY KEY (attempt_id),
  CONSTRAINT ck_attempts_number CHECK (attempt >= 1),
  CONSTRAINT ck_attempts_times CHECK (claimed_at <= send_by AND send_by <= call_deadline),
  CONSTRAINT fk_attempts_order_serial FOREIGN KEY(order_serial) REFERENCES orders (order_serial)
)
 STRICT;

CREATE TABLE bindings (
  keyid TEXT NOT NULL,
  institution_code TEXT NOT NULL,
  terminal_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  key_serial TEXT NOT NULL,
  bound_at INTEGER NOT NULL,
  prepared_by TEXT NOT NULL,
  approved_by TEXT NOT NULL,
  unbound_at INTEGER,
  CONSTRAINT pk_bindings PRIMARY KEY (keyid, bound_at),
  CONSTRAINT ck_bindings_ends CHECK (unbound_at IS NULL OR unbound_at >= bound_at),
  CONSTRAINT ck_bindings_people CHECK (approved_by <> prepared_by OR approved_by = 'init'),
  CONSTRAINT fk_bindings_keyid FOREIGN KEY(keyid) REFERENCES certificates (keyid),
  CONSTRAINT fk_bindings_terminal_id FOREIGN KEY(institution_code, terminal_id) REFERENCES terminals (institution_code, terminal_id),
  CONSTRAINT fk_bindings_operator_id FOREIGN KEY(institution_code, operator_id) REFERENCES operators (institution_code, operator_id)
)
 STRICT;

CREATE TABLE trainings (
  institution_code TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  service TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_until INTEGER NOT NULL,
  CONSTRAINT pk_trainings PRIMARY KEY (institution_code, operator_id, service, valid_from),
  CONSTRAINT ck_trainings_valid CHECK (valid_from < valid_until),
  CONSTRAINT fk_trainings_operator_id FOREIGN KEY(institution_code, operator_id) REFERENCES operators (institution_code, operator_id)
)
 STRICT;

CREATE INDEX ix_alarms_unseen ON alarms (kind, raised_at) WHERE seen_at IS NULL;

CREATE INDEX ix_approvals_open ON approvals (prepared_at) WHERE state = 'OPEN';

CREATE UNIQUE INDEX uq_archive_attempts_order ON archive_attempts (order_serial, attempt);

CREATE INDEX ix_archive_evidence_payment ON archive_evidence (gateway_serial);

CREATE INDEX ix_archive_orders_payment ON archive_orders (gateway_serial);

CREATE UNIQUE INDEX uq_archive_postings_chain ON archive_postings (owner, seq) WHERE seq IS NOT NULL;

CREATE INDEX ix_archive_records_payment ON archive_records (gateway_serial) WHERE gateway_serial IS NOT NULL;

CREATE UNIQUE INDEX uq_archive_records_place ON archive_records (day, position);

CREATE INDEX ix_archive_transactions_payment ON archive_transactions (gateway_serial);

CREATE INDEX ix_breaks_payment ON breaks (gateway_serial) WHERE gateway_serial IS NOT NULL;

CREATE UNIQUE INDEX uq_certificate_requests_keyid ON certificate_requests (keyid) WHERE keyid IS NOT NULL;

CREATE UNIQUE INDEX uq_certificate_requests_public_key ON certificate_requests (public_key_sha256) WHERE state <> 'REFUSED';

CREATE INDEX ix_commission_plans_service ON commission_plans (service, effective_from);

CREATE INDEX ix_dead_letters_payment ON dead_letters (gateway_serial) WHERE gateway_serial IS NOT NULL;

CREATE UNIQUE INDEX uq_dead_letters_origin ON dead_letters (origin);

CREATE INDEX ix_outbox_unpublished ON outbox (message_id) WHERE published_at IS NULL;

CREATE UNIQUE INDEX uq_partner_certificates_public_key ON partner_certificates (public_key_sha256);

CREATE INDEX ix_payments_cancels ON payments (cancels) WHERE cancels IS NOT NULL;

CREATE INDEX ix_payments_cards ON payments (biller, biller_account) WHERE (state = 'PAID_WAIT_WRITE' OR state = 'WRITE_FAILED');

CREATE INDEX ix_payments_open ON payments (biller, biller_account, amount_fen) WHERE (state = 'CANCELLING' OR state = 'PAID_WAIT_WRITE' OR state = 'RESERVED' OR state = 'REVERSING' OR state = 'SENT' OR state = 'UNKNOWN' OR state = 'WRITE_FAILED') AND kind <> 'REFUND';

CREATE INDEX ix_payments_paid ON payments (biller, biller_account, amount_fen, account_date) WHERE (state = 'PAID_WAIT_WRITE' OR state = 'SUCCESS' OR state = 'WRITE_FAILED' OR state = 'WRITTEN') AND kind <> 'REFUND';

CREATE INDEX ix_payments_station ON payments (institution_code, gateway_serial);

CREATE UNIQUE INDEX uq_payments_open ON payments (biller, biller_account, amount_fen) WHERE (state = 'CANCELLING' OR state = 'PAID_WAIT_WRITE' OR state = 'RESERVED' OR state = 'REVERSING' OR state = 'SENT' OR state = 'UNKNOWN' OR state = 'WRITE_FAILED') AND kind <> 'REFUND' AND confirmed_repeat = 0;

CREATE UNIQUE INDEX uq_payments_query_token ON payments (query_token) WHERE query_token IS NOT NULL;

CREATE INDEX ix_records_payment ON records (gateway_serial) WHERE gateway_serial IS NOT NULL;

CREATE INDEX ix_records_unsealed ON records (record_id) WHERE day IS NULL;

CREATE UNIQUE INDEX uq_records_place ON records (day, position) WHERE day IS NOT NULL;

CREATE INDEX ix_seals_unsigned ON seals (day) WHERE signature IS NULL;

CREATE INDEX ix_tariffs_service ON tariffs (service, effective_from);

CREATE INDEX ix_transactions_payment ON transactions (gateway_serial) WHERE gateway_serial IS NOT NULL;

CREATE INDEX ix_authorizations_unused ON authorizations (institution_code, service, biller_account, amount_fen, valid_on) WHERE used_by IS NULL AND revoked_by IS NULL;

CREATE INDEX ix_certificates_live ON certificates (not_after) WHERE (state = 'ACTIVE' OR state = 'BOUND' OR state = 'FROZEN' OR state = 'ISSUED');

CREATE INDEX ix_certificates_staff ON certificates (staff_id) WHERE staff_id IS NOT NULL;

CREATE INDEX ix_certificates_usb_key ON certificates (key_serial) WHERE key_serial <> '';

CREATE UNIQUE INDEX uq_certificates_public_key ON certificates (public_key_sha256);

CREATE UNIQUE INDEX uq_certificates_serial ON certificates (issuer_keyid, serial) WHERE serial <> '';

CREATE INDEX ix_evidence_payment ON evidence (gateway_serial);

CREATE INDEX ix_orders_ask ON orders (ask_at, order_serial) WHERE (state = 'SENT' OR state = 'UNKNOWN') AND in_flight = 0;

CREATE INDEX ix_orders_expiry ON orders (send_before) WHERE state = 'READY';

CREATE INDEX ix_orders_overdue ON orders (call_deadline) WHERE in_flight = 1;

CREATE INDEX ix_orders_payment ON orders (gateway_serial);

CREATE INDEX ix_orders_ready ON orders (next_try_at, order_serial) WHERE state = 'READY' AND hold = 0;

CREATE INDEX ix_orders_turn ON orders (biller, biller_account) WHERE (state = 'READY' OR in_flight = 1);

CREATE UNIQUE INDEX uq_orders_in_flight ON orders (biller, biller_account) WHERE in_flight = 1;

CREATE UNIQUE INDEX uq_orders_moving ON orders (gateway_serial) WHERE (state = 'READY' OR state = 'SENT');

CREATE UNIQUE INDEX uq_orders_partner_serial ON orders (biller, partner_serial);

CREATE UNIQUE INDEX uq_postings_chain ON postings (owner, seq) WHERE seq IS NOT NULL;

CREATE INDEX ix_replay_steps_due ON replay_steps (plan_sha256, number) WHERE outcome IS NULL;

CREATE UNIQUE INDEX uq_replay_steps_letter ON replay_steps (letter_id, plan_sha256);

CREATE UNIQUE INDEX uq_vouchers_transaction ON vouchers (txn_id);

CREATE UNIQUE INDEX uq_attempts_order ON attempts (order_serial, attempt);

CREATE INDEX ix_bindings_station ON bindings (institution_code) WHERE unbound_at IS NULL;

CREATE UNIQUE INDEX uq_bindings_keyid ON bindings (keyid) WHERE unbound_at IS NULL;

CREATE TRIGGER payments_no_delete BEFORE DELETE ON payments WHEN NOT EXISTS (SELECT 1 FROM archive_payments a WHERE a.gateway_serial = OLD.gateway_serial AND a.kind IS OLD.kind AND a.state IS OLD.state AND a.version IS OLD.version AND a.institution_code IS OLD.institution_code AND a.terminal_id IS OLD.terminal_id AND a.operator_id IS OLD.operator_id AND a.terminal_trace IS OLD.terminal_trace AND a.idempotency_key IS OLD.idempotency_key AND a.service IS OLD.service AND a.biller IS OLD.biller AND a.biller_account IS OLD.biller_account AND a.amount_fen IS OLD.amount_fen AND a.fee_fen IS OLD.fee_fen AND a.paid_fen IS OLD.paid_fen AND a.account_date IS OLD.account_date AND a.settle_date IS OLD.settle_date AND a.biller_date IS OLD.biller_date AND a.accepted_at IS OLD.accepted_at AND a.send_before IS OLD.send_before AND a.final_at IS OLD.final_at AND a.biller_serial IS OLD.biller_serial AND a.reason IS OLD.reason AND a.resp_code IS OLD.resp_code AND a.in_doubt_since IS OLD.in_doubt_since AND a.tariff_version IS OLD.tariff_version AND a.commission_version IS OLD.commission_version AND a.confirmed_repeat IS OLD.confirmed_repeat AND a.confirmed_beside IS OLD.confirmed_beside AND a.query_token IS OLD.query_token AND a.params IS OLD.params AND a.cash_received_fen IS OLD.cash_received_fen AND a.cancels IS OLD.cancels AND a.write_data IS OLD.write_data AND a.purchase_count IS OLD.purchase_count AND a.ruling IS OLD.ruling AND a.trace_id IS OLD.trace_id) BEGIN SELECT RAISE(ABORT, 'payments is append-only'); END;

CREATE TRIGGER orders_no_delete BEFORE DELETE ON orders WHEN NOT EXISTS (SELECT 1 FROM archive_orders a WHERE a.order_serial = OLD.order_serial AND a.gateway_serial IS OLD.gateway_serial AND a.kind IS OLD.kind AND a.state IS OLD.state AND a.version IS OLD.version AND a.biller IS OLD.biller AND a.biller_account IS OLD.biller_account AND a.partner_serial IS OLD.partner_serial AND a.original_serial IS OLD.original_serial AND a.from_state IS OLD.from_state AND a.in_flight IS OLD.in_flight AND a.attempts IS OLD.attempts AND a.created_at IS OLD.created_at AND a.send_before IS OLD.send_before AND a.send_by IS OLD.send_by AND a.call_deadline IS OLD.call_deadline AND a.next_try_at IS OLD.next_try_at AND a.ask_at IS OLD.ask_at AND a.result_due_at IS OLD.result_due_at AND a.rung IS OLD.rung AND a.asks IS OLD.asks AND a.hold IS OLD.hold AND a.biller_serial IS OLD.biller_serial AND a.reason IS OLD.reason AND a.resp_code IS OLD.resp_code AND a.voided_by IS OLD.voided_by AND a.note IS OLD.note AND a.ended_at IS OLD.ended_at AND a.ruling IS OLD.ruling) BEGIN SELECT RAISE(ABORT, 'orders is append-only'); END;

CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts WHEN NOT EXISTS (SELECT 1 FROM archive_attempts a WHERE a.attempt_id = OLD.attempt_id AND a.order_serial IS OLD.order_serial AND a.attempt IS OLD.attempt AND a.worker IS OLD.worker AND a.claimed_at IS OLD.claimed_at AND a.send_by IS OLD.send_by AND a.call_deadline IS OLD.call_deadline AND a.ended_at IS OLD.ended_at AND a.outcome IS OLD.outcome AND a.resp_code IS OLD.resp_code AND a.cause IS OLD.cause) BEGIN SELECT RAISE(ABORT, 'attempts is append-only'); END;

CREATE TRIGGER transactions_no_delete BEFORE DELETE ON transactions WHEN NOT EXISTS (SELECT 1 FROM archive_transactions a WHERE a.txn_id = OLD.txn_id AND a.recipe IS OLD.recipe AND a.gateway_serial IS OLD.gateway_serial AND a.order_serial IS OLD.order_serial AND a.posting_date IS OLD.posting_date AND a.account_date IS OLD.account_date AND a.settle_date IS OLD.settle_date AND a.cause IS OLD.cause AND a.cause_id IS OLD.cause_id AND a.created_at IS OLD.created_at) BEGIN SELECT RAISE(ABORT, 'transactions is append-only'); END;

CREATE TRIGGER transactions_no_update BEFORE UPDATE ON transactions BEGIN SELECT RAISE(ABORT, 'transactions is append-only'); END;

CREATE TRIGGER postings_no_delete BEFORE DELETE ON postings WHEN NOT EXISTS (SELECT 1 FROM archive_postings a WHERE a.txn_id = OLD.txn_id AND a.leg = OLD.leg AND a.recipe IS OLD.recipe AND a.account IS OLD.account AND a.owner IS OLD.owner AND a.amount_fen IS OLD.amount_fen AND a.balance_after IS OLD.balance_after AND a.seq IS OLD.seq) BEGIN SELECT RAISE(ABORT, 'postings is append-only'); END;

CREATE TRIGGER postings_no_update BEFORE UPDATE ON postings BEGIN SELECT RAISE(ABORT, 'postings is append-only'); END;

CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence WHEN NOT EXISTS (SELECT 1 FROM archive_evidence a WHERE a.evidence_id = OLD.evidence_id AND a.gateway_serial IS OLD.gateway_serial AND a.order_serial IS OLD.order_serial AND a.record_id IS OLD.record_id AND a.sent IS OLD.sent AND a.source IS OLD.source AND a.event IS OLD.event AND a.effect IS OLD.effect AND a.waiting IS OLD.waiting AND a.biller_serial IS OLD.biller_serial AND a.paid_fen IS OLD.paid_fen AND a.biller_date IS OLD.biller_date AND a.resp_code IS OLD.resp_code AND a.cause IS OLD.cause AND a.created_at IS OLD.created_at) BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;

CREATE TRIGGER evidence_no_update BEFORE UPDATE OF evidence_id, gateway_serial, order_serial, record_id, sent, source, event, effect, biller_serial, paid_fen, biller_date, resp_code, cause, created_at ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;

CREATE TRIGGER records_no_delete BEFORE DELETE ON records WHEN NOT EXISTS (SELECT 1 FROM archive_records a WHERE a.record_id = OLD.record_id AND a.kind IS OLD.kind AND a.received_at IS OLD.received_at AND a.institution_code IS OLD.institution_code AND a.gateway_serial IS OLD.gateway_serial AND a.keyid IS OLD.keyid AND a.base IS OLD.base AND a.signature IS OLD.signature AND a.body IS OLD.body AND a.leaf IS OLD.leaf AND a.day IS OLD.day AND a.position IS OLD.position AND a.chain IS OLD.chain) BEGIN SELECT RAISE(ABORT, 'records is append-only'); END;

CREATE TRIGGER records_no_update BEFORE UPDATE OF record_id, kind, received_at, institution_code, gateway_serial, keyid, base, signature, body, leaf ON records BEGIN SELECT RAISE(ABORT, 'records is append-only'); END;

CREATE TRIGGER records_set_once BEFORE UPDATE OF day, position, chain ON records WHEN OLD.day IS NOT NULL OR OLD.position IS NOT NULL OR OLD.chain IS NOT NULL BEGIN SELECT RAISE(ABORT, 'records is append-only'); END;

CREATE TRIGGER idempotency_keys_no_delete BEFORE DELETE ON idempotency_keys BEGIN SELECT RAISE(ABORT, 'idempotency_keys is append-only'); END;

CREATE TRIGGER certificates_no_delete BEFORE DELETE ON certificates BEGIN SELECT RAISE(ABORT, 'certificates is append-only'); END;

CREATE TRIGGER certificates_no_update BEFORE UPDATE OF keyid, der, role, public_key_sha256, not_before, not_after, registered_at, serial, issuer_keyid, key_serial, renews, staff_id ON certificates BEGIN SELECT RAISE(ABORT, 'certificates is append-only'); END;

CREATE TRIGGER bindings_no_delete BEFORE DELETE ON bindings BEGIN SELECT RAISE(ABORT, 'bindings is append-only'); END;

CREATE TRIGGER bindings_no_update BEFORE UPDATE OF keyid, institution_code, terminal_id, operator_id, key_serial, bound_at, prepared_by, approved_by ON bindings BEGIN SELECT RAISE(ABORT, 'bindings is append-only'); END;

CREATE TRIGGER certificate_requests_no_delete BEFORE DELETE ON certificate_requests BEGIN SELECT RAISE(ABORT, 'certificate_requests is append-only'); END;

CREATE TRIGGER certificate_requests_no_update BEFORE UPDATE OF request_id, profile, institution_code, terminal_id, operator_id, name, staff_id, key_serial, csr, public_key_sha256, renews, applied_by, applied_at ON certificate_requests BEGIN SELECT RAISE(ABORT, 'certificate_requests is append-only'); END;

CREATE TRIGGER certificate_steps_no_delete BEFORE DELETE ON certificate_steps BEGIN SELECT RAISE(ABORT, 'certificate_steps is append-only'); END;

CREATE TRIGGER certificate_steps_no_update BEFORE UPDATE ON certificate_steps BEGIN SELECT RAISE(ABORT, 'certificate_steps is append-only'); END;

CREATE TRIGGER usb_keys_no_delete BEFORE DELETE ON usb_keys BEGIN SELECT RAISE(ABORT, 'usb_keys is append-only'); END;

CREATE TRIGGER usb_keys_no_update BEFORE UPDATE OF key_serial, received_at ON usb_keys BEGIN SELECT RAISE(ABORT, 'usb_keys is append-only'); END;

CREATE TRIGGER usb_key_steps_no_delete BEFORE DELETE ON usb_key_steps BEGIN SELECT RAISE(ABORT, 'usb_key_steps is append-only'); END;

CREATE TRIGGER usb_key_steps_no_update BEFORE UPDATE ON usb_key_steps BEGIN SELECT RAISE(ABORT, 'usb_key_steps is append-only'); END;

CREATE TRIGGER staff_no_delete BEFORE DELETE ON staff BEGIN SELECT RAISE(ABORT, 'staff is append-only'); END;

CREATE TRIGGER staff_no_update BEFORE UPDATE OF staff_id, name, department, added_at ON staff BEGIN SELECT RAISE(ABORT, 'staff is append-only'); END;

CREATE TRIGGER approvals_no_delete BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals is append-only'); END;

CREATE TRIGGER approvals_no_update BEFORE UPDATE OF plan_sha256, kind, subject, plan, prepared_by, prepared_at, prepared_keyid, prepared_record, reason ON approvals BEGIN SELECT RAISE(ABORT, 'approvals is append-only'); END;

CREATE TRIGGER revocation_lists_no_delete BEFORE DELETE ON revocation_lists BEGIN SELECT RAISE(ABORT, 'revocation_lists is append-only'); END;

CREATE TRIGGER revocation_lists_no_update BEFORE UPDATE ON revocation_lists BEGIN SELECT RAISE(ABORT, 'revocation_lists is append-only'); END;

CREATE TRIGGER partner_certificates_no_delete BEFORE DELETE ON partner_certificates BEGIN SELECT RAISE(ABORT, 'partner_certificates is append-only'); END;

CREATE TRIGGER partner_certificates_no_update BEFORE UPDATE OF biller, keyid, der, use, public_key_sha256, not_before, not_after, added_by, added_at ON partner_certificates BEGIN SELECT RAISE(ABORT, 'partner_certificates is append-only'); END;

CREATE TRIGGER attachments_no_delete BEFORE DELETE ON attachments BEGIN SELECT RAISE(ABORT, 'attachments is append-only'); END;

CREATE TRIGGER attachments_no_update BEFORE UPDATE ON attachments BEGIN SELECT RAISE(ABORT, 'attachments is append-only'); END;

CREATE TRIGGER authorizations_no_delete BEFORE DELETE ON authorizations BEGIN SELECT RAISE(ABORT, 'authorizations is append-only'); END;

CREATE TRIGGER authorizations_no_update BEFORE UPDATE OF authorization_id, kind, institution_code, service, biller_account, amount_fen, valid_on, issued_by, issued_at, reason, record_id ON authorizations BEGIN SELECT RAISE(ABORT, 'authorizations is append-only'); END;

CREATE TRIGGER dead_letters_no_delete BEFORE DELETE ON dead_letters BEGIN SELECT RAISE(ABORT, 'dead_letters is append-only'); END;

CREATE TRIGGER dead_letters_no_update BEFORE UPDATE OF letter_id, origin, topic, key, headers, body, body_sha256, reason, buried_at, kept_at, worker, message, gateway_serial, order_serial, order_kind, biller, institution_code, biller_account, amount_fen, corrects ON dead_letters BEGIN SELECT RAISE(ABORT, 'dead_letters is append-only'); END;

CREATE TRIGGER replay_plans_no_delete BEFORE DELETE ON replay_plans BEGIN SELECT RAISE(ABORT, 'replay_plans is append-only'); END;

CREATE TRIGGER replay_plans_no_update BEFORE UPDATE OF plan_sha256, items, fen, kept_at ON replay_plans BEGIN SELECT RAISE(ABORT, 'replay_plans is append-only'); END;

CREATE TRIGGER replay_files_no_delete BEFORE DELETE ON replay_files BEGIN SELECT RAISE(ABORT, 'replay_files is append-only'); END;

CREATE TRIGGER replay_files_no_update BEFORE UPDATE ON replay_files BEGIN SELECT RAISE(ABORT, 'replay_files is append-only'); END;

CREATE TRIGGER replay_steps_no_delete BEFORE DELETE ON replay_steps BEGIN SELECT RAISE(ABORT, 'replay_steps is append-only'); END;

CREATE TRIGGER replay_steps_no_update BEFORE UPDATE OF plan_sha256, number, letter_id, biller, verdict_planned ON replay_steps BEGIN SELECT RAISE(ABORT, 'replay_steps is append-only'); END;

CREATE TRIGGER replay_steps_set_once BEFORE UPDATE OF verdict_now, outcome, run_record, at ON replay_steps WHEN OLD.verdict_now IS NOT NULL OR OLD.outcome IS NOT NULL OR OLD.run_record IS NOT NULL OR OLD.at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'replay_steps is append-only'); END;

CREATE TRIGGER archive_payments_no_delete BEFORE DELETE ON archive_payments BEGIN SELECT RAISE(ABORT, 'archive_payments never changes'); END;

CREATE TRIGGER archive_payments_no_update BEFORE UPDATE ON archive_payments BEGIN SELECT RAISE(ABORT, 'archive_payments never changes'); END;

CREATE TRIGGER archive_orders_no_delete BEFORE DELETE ON archive_orders BEGIN SELECT RAISE(ABORT, 'archive_orders never changes'); END;

CREATE TRIGGER archive_orders_no_update BEFORE UPDATE ON archive_orders BEGIN SELECT RAISE(ABORT, 'archive_orders never changes'); END;

CREATE TRIGGER archive_attempts_no_delete BEFORE DELETE ON archive_attempts BEGIN SELECT RAISE(ABORT, 'archive_attempts never changes'); END;

CREATE TRIGGER archive_attempts_no_update BEFORE UPDATE ON archive_attempts BEGIN SELECT RAISE(ABORT, 'archive_attempts never changes'); END;

CREATE TRIGGER archive_transactions_no_delete BEFORE DELETE ON archive_transactions BEGIN SELECT RAISE(ABORT, 'archive_transactions never changes'); END;

CREATE TRIGGER archive_transactions_no_update BEFORE UPDATE ON archive_transactions BEGIN SELECT RAISE(ABORT, 'archive_transactions never changes'); END;

CREATE TRIGGER archive_postings_no_delete BEFORE DELETE ON archive_postings BEGIN SELECT RAISE(ABORT, 'archive_postings never changes'); END;

CREATE TRIGGER archive_postings_no_update BEFORE UPDATE ON archive_postings BEGIN SELECT RAISE(ABORT, 'archive_postings never changes'); END;

CREATE TRIGGER archive_records_no_delete BEFORE DELETE ON archive_records BEGIN SELECT RAISE(ABORT, 'archive_records never changes'); END;

CREATE TRIGGER archive_records_no_update BEFORE UPDATE ON archive_records BEGIN SELECT RAISE(ABORT, 'archive_records never changes'); END;

CREATE TRIGGER archive_evidence_no_delete BEFORE DELETE ON archive_evidence BEGIN SELECT RAISE(ABORT, 'archive_evidence never changes'); END;

CREATE TRIGGER archive_evidence_no_update BEFORE UPDATE ON archive_evidence BEGIN SELECT RAISE(ABORT, 'archive_evidence never changes'); END;

CREATE TRIGGER archive_outbox_no_delete BEFORE DELETE ON archive_outbox BEGIN SELECT RAISE(ABORT, 'archive_outbox never changes'); END;

CREATE TRIGGER archive_outbox_no_update BEFORE UPDATE ON archive_outbox BEGIN SELECT RAISE(ABORT, 'archive_outbox never changes'); END;
