"""A book filled by SQL alone: many payments of long ago, all final, and some that are open."""

import asyncpg

OPEN = 500
_DAY = "to_char(date '2025-01-01' + (n / 500)::int, 'YYYY-MM-DD')"
_SERIAL = "to_char(date '2025-01-01' + (n / 500)::int, 'YYYYMMDD') || lpad(n::text, 16, '0')"
_STATION = "lpad((n % 200)::text, 8, '0')"

FILL = f"""
INSERT INTO stations SELECT lpad(n::text, 8, '0'), 'n', 'ACTIVE', NULL, 0, 0, 1 FROM generate_series(0, 199) n;
INSERT INTO station_balances SELECT lpad(n::text, 8, '0'), 0, 0, 0, 10000000 FROM generate_series(0, 199) n;
INSERT INTO days SELECT DISTINCT {_DAY}, 'OPEN', 1, NULL::bigint FROM generate_series(1, $1) n;
INSERT INTO payments (gateway_serial, kind, state, version, institution_code, terminal_id, operator_id, terminal_trace,
  idempotency_key, service, biller, biller_account, amount_fen, fee_fen, account_date, settle_date, accepted_at,
  send_before, final_at, tariff_version, commission_version, confirmed_repeat, params, trace_id)
SELECT {_SERIAL}, 'PAY', CASE WHEN n > $1 - {OPEN} THEN 'UNKNOWN' ELSE 'SUCCESS' END, 3, {_STATION}, 'T1', 'O1',
  '000001', 'key-' || n, 'acme.bill', 'acme', 'A' || n, 100, 0, {_DAY}, {_DAY}, n, n, n, 'V1', 'V1', 0, '{{{{}}}}', 't'
FROM generate_series(1, $1) n;
INSERT INTO orders (order_serial, gateway_serial, kind, state, version, biller, biller_account, partner_serial,
  in_flight, attempts, created_at, send_before, rung, asks, hold, ask_at)
SELECT {_SERIAL}, {_SERIAL}, 'PAY', CASE WHEN n > $1 - {OPEN} THEN 'UNKNOWN' ELSE 'DONE' END, 3, 'acme', 'A' || n,
  'P' || n, 0, 1, n, n, 0, 0, 0, n FROM generate_series(1, $1) n;
INSERT INTO attempts (attempt_id, order_serial, attempt, worker, claimed_at, send_by, call_deadline)
SELECT 'A' || {_SERIAL}, {_SERIAL}, 1, 'w', n, n, n FROM generate_series(1, $1) n;
INSERT INTO idempotency_keys SELECT {_STATION}, 'key-' || n, 'PAYMENT', NULL, {_SERIAL}, NULL, 'a' || n, n
FROM generate_series(1, $1) n;
INSERT INTO transactions (txn_id, recipe, gateway_serial, order_serial, posting_date, account_date, settle_date, cause,
  cause_id, created_at)
SELECT {_SERIAL} || k, 'R01', {_SERIAL}, {_SERIAL}, {_DAY}, {_DAY}, {_DAY}, 'accept', 'a', n
FROM generate_series(1, $1) n, generate_series(1, 2) k;
INSERT INTO postings (txn_id, leg, recipe, account, owner, amount_fen, balance_after, seq)
SELECT {_SERIAL} || k, leg, 'R01', '2001', {_STATION}, 0, 0, (n / 200) * 4 + (k - 1) * 2 + leg
FROM generate_series(1, $1) n, generate_series(1, 2) k, generate_series(1, 2) leg;
INSERT INTO records (record_id, kind, received_at, institution_code, gateway_serial, keyid, base, signature, body, leaf,
  day, position, chain)
SELECT 'R' || {_SERIAL}, 'request', n, {_STATION}, {_SERIAL}, 'k', 'b', 's', 'x', 'l', {_DAY}, n % 500 + 1, 'c'
FROM generate_series(1, $1) n;
INSERT INTO evidence (evidence_id, gateway_serial, order_serial, record_id, source, event, effect, waiting, created_at)
SELECT 'E' || {_SERIAL}, {_SERIAL}, {_SERIAL}, NULL, 'reply', 'PAID', 'SENT->SUCCESS', 0, n
FROM generate_series(1, $1) n;
INSERT INTO outbox (message_id, topic, key, payload, created_at, published_at)
SELECT {_SERIAL} || k, 'bianmin.result', {_SERIAL}, '{{{{}}}}', n, CASE WHEN n > $1 - {OPEN} THEN NULL ELSE n END
FROM generate_series(1, $1) n, generate_series(1, 2) k;
INSERT INTO query_tokens (query_token, state, institution_code, service, biller, biller_account, params, asked_at,
  expires_at)
SELECT 'Q' || n, 'ANSWERED', {_STATION}, 'acme.bill', 'acme', 'A' || n, '{{{{}}}}', n, n FROM generate_series(1, $1) n;
INSERT INTO nonces SELECT n / 100, 'k', 'n' || n, 'a' || n, n FROM generate_series(1, $1) n;
ANALYZE
"""
BIG = frozenset(
    "payments orders attempts idempotency_keys transactions postings records evidence outbox query_tokens".split()
)
"""Tables of which one row or more belongs to each payment. (Of nonces whole hours are purged: a scan may be best.)"""


async def fill(dsn: str, payments: int) -> None:
    """Fill an empty book with so many payments; their rows are only as true as a planner needs them."""
    connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
    try:
        for statement in FILL.replace("{{}}", "{}").split(";\n"):
            await connection.execute(statement.replace("$1", str(int(payments))))
    finally:
        await connection.close()
