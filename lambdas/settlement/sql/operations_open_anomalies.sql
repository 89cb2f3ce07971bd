-- One page of the anomalies that wait for the operator, the oldest first.
SELECT id, kind, order_id, session_id, payment_intent_id, amount, currency, event_id,
       first_seen_at
  FROM payment_anomalies
 WHERE resolved_at IS NULL AND id > %(after)s
 ORDER BY id
 LIMIT %(limit)s
