"""Faults that leave every sum and every state as it was: the book says something else than what proves it.

By name, statements run on a copy of the story's book (`{name}` names a serial) and the checks that must see them.
"""

OF = "WHERE gateway_serial = '{%s}'"
LEGS = "(SELECT txn_id FROM transactions WHERE gateway_serial = '{%s}' AND recipe = '%s')"
R05, R13 = LEGS % ("success", "R05"), "(SELECT MIN(txn_id) FROM transactions WHERE recipe = 'R13')"

BY_MEANING: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "a success that nobody proved": (
        ("UPDATE evidence SET event = 'ACCEPTED' " + OF % "success",),
        {"evidence"},
    ),
    "a success of more than was proven": (
        ("UPDATE evidence SET paid_fen = paid_fen - 1 " + OF % "success",),
        {"evidence"},
    ),
    "a failure that nobody proved": (("UPDATE evidence SET event = 'LOST' " + OF % "declined",), {"evidence"}),
    "a failure proven by another's order": (
        ("UPDATE evidence SET order_serial = '{success}' " + OF % "declined",),
        {"evidence"},
    ),
    "a failure proven by our own order": (
        ("UPDATE transactions SET cause = 'command', cause_id = '{declined}' " + OF % "declined"
         + " AND recipe = 'R03'",),
        {"evidence"},
    ),
    "a reversal that nobody proved": (
        ("UPDATE evidence SET event = 'REFUSED' " + OF % "reversed" + " AND event = 'REVERSED'",),
        {"evidence"},
    ),
    "a cancel that nobody proved": (
        ("UPDATE evidence SET order_serial = '{cancelled}' " + OF % "cancelled" + " AND event = 'CANCELLED'",),
        {"evidence"},
    ),
    "given up after it was sent": (
        ("UPDATE attempts SET outcome = 'Unknown' WHERE order_serial = '{given_up}'",),
        {"evidence"},
    ),
    "an order for another account": (
        ("UPDATE orders SET biller_account = '66666' " + OF % "success",),
        {"orders-against-payment"},
    ),
    "an order for another biller": (
        ("UPDATE orders SET biller = 'meters' " + OF % "success",),
        {"orders-against-payment"},
    ),
    "a partner serial that is not ours": (
        ("UPDATE orders SET partner_serial = order_serial " + OF % "success",),
        {"orders-against-payment"},
    ),
    "a partner number that was never handed out": (
        ("UPDATE orders SET partner_serial = '20261124000000999999' " + OF % "success",),
        {"orders-against-payment"},
    ),
    "a partner number of another day": (
        ("UPDATE orders SET partner_serial = '20261123' || substr(partner_serial, 9) " + OF % "success",),
        {"orders-against-payment"},
    ),
    "a partner serial used twice": (
        ("UPDATE orders SET partner_serial = (SELECT partner_serial FROM orders " + OF % "success" + ") "
         + OF % "declined",),
        {"orders-against-payment"},
    ),
    "a biller serial that the proof does not name": (
        ("UPDATE payments SET biller_serial = 'B-OTHER' " + OF % "success",
         "UPDATE orders SET biller_serial = 'B-OTHER' " + OF % "success"),
        {"orders-against-payment"},
    ),
    "a biller serial that its order does not have": (
        ("UPDATE payments SET biller_serial = NULL " + OF % "success",),
        {"orders-against-payment"},
    ),
    "a tariff that is not in the book": (
        ("UPDATE payments SET tariff_version = 'V9' " + OF % "success",),
        {"prices"},
    ),
    "a commission plan that is not in the book": (
        ("UPDATE payments SET commission_version = 'V9' " + OF % "unknown",),
        {"prices"},
    ),
    "a commission plan that was lost": (
        ("DELETE FROM commission_plans WHERE service = 'meters.card'",),
        {"prices"},
    ),
    "another fee than the tariff's": (
        ("UPDATE tariffs SET fee_fen = fee_fen + 1 WHERE service = 'acme.topup'",),
        {"prices"},
    ),
    "a payment that may wait longer": (
        ("UPDATE payments SET send_before = send_before + 1 " + OF % "success",
         "UPDATE orders SET send_before = send_before + 1 " + OF % "success"),
        {"prices"},
    ),
    "an order that may wait longer": (
        ("UPDATE orders SET send_before = send_before + 1 " + OF % "success",),
        {"prices"},
    ),
    "a leg of another recipe": (
        (f"UPDATE postings SET recipe = 'R06' WHERE txn_id = {R05} AND account = '4001'",),
        {"recipe-legs"},
    ),
    "a posting for another order": (
        ("UPDATE transactions SET order_serial = '{declined}' " + OF % "success" + " AND recipe = 'R05'",),
        {"recipe-legs"},
    ),
    "a transaction of another recipe than its legs": (
        ("UPDATE transactions SET recipe = 'R02' " + OF % "declined" + " AND recipe = 'R03'",),
        {"recipe-legs", "orders-against-postings", "evidence"},
    ),
    "a contradiction without its break": (
        ("DELETE FROM breaks " + OF % "contradicted" + " AND code = 'STATUS_DIFF_OVER'",),
        {"breaks"},
    ),
    "a second charge without its break": (
        ("DELETE FROM breaks " + OF % "contradicted" + " AND code = 'DUPLICATE'",),
        {"breaks"},
    ),
    "evidence whose record is gone": (
        ("UPDATE evidence SET record_id = 'Z' " + OF % "corrected",),
        {"evidence", "records-of-payments"},
    ),
    "what was sent is not of its payment": (
        ("UPDATE evidence SET sent = 'Z' " + OF % "corrected",),
        {"records-of-payments"},
    ),
    "a wrong amount without its break": (("DELETE FROM breaks " + OF % "half",), {"breaks"}),
    "a break without its alarm": (
        ("DELETE FROM alarms WHERE kind = 'break.duplicate'",),
        {"breaks"},
    ),
    "a corrected failure without its alarm": (
        ("DELETE FROM alarms WHERE kind = 'failed.was.paid'",),
        {"breaks"},
    ),
    "another account than was signed": (
        ("UPDATE payments SET biller_account = '66666' " + OF % "success",
         "UPDATE orders SET biller_account = '66666' " + OF % "success"),
        {"signed-request"},
    ),
    "another amount than was signed": (
        ("UPDATE payments SET amount_fen = amount_fen + 1 " + OF % "unknown",),
        {"signed-request", "reserved-open", "recipe-legs", "orders-against-postings"},
    ),
    "another service than was signed": (
        ("UPDATE payments SET service = 'acme.once' " + OF % "success",),
        {"signed-request"},
    ),
    "another operator than signed": (
        ("UPDATE payments SET operator_id = '0002' " + OF % "success",),
        {"signed-request"},
    ),
    "another terminal than signed": (
        ("UPDATE payments SET terminal_id = 'T2' " + OF % "success",),
        {"signed-request"},
    ),
    "params that were not signed": (
        ("UPDATE payments SET params = '{{\"carrier\":\"cmcc\"}}' " + OF % "success",),
        {"signed-request"},
    ),
    "cash that was not signed": (
        ("UPDATE payments SET cash_received_fen = 1 " + OF % "success",),
        {"signed-request"},
    ),
    "a key bound to another request": (
        (f"UPDATE idempotency_keys SET request_hash = x'{'55' * 32}' " + OF % "success",),
        {"signed-request"},
    ),
    "a refused key bound to another request": (
        (f"UPDATE idempotency_keys SET request_hash = x'{'55' * 32}' WHERE kind = 'REFUSED'",),
        {"signed-request"},
    ),
    "a refused key whose request is gone": (
        ("UPDATE idempotency_keys SET created_at = created_at - 1 WHERE kind = 'REFUSED'",),
        {"signed-request"},
    ),
}  # fmt: skip
