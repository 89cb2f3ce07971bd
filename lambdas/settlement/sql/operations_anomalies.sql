-- The anomalies of orders, or those that an id of Stripe's is known by. Its notes are not read.
SELECT id, kind, order_id, session_id, payment_intent_id, amount, currency, event_id,
       first_seen_at, resolved_at, resolution
  FROM payment_anomalies
 WHERE order_id IN %(ids)s OR %(id)s IN (event_id, session_id, payment_intent_id)
 ORDER BY id
 LIMIT 100
