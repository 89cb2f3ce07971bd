-- Which orders an id of Stripe's (event, session or payment intent) is known to belong to.
SELECT order_id FROM settlements WHERE session_id = %(id)s OR payment_intent_id = %(id)s
UNION SELECT order_id FROM stripe_events WHERE event_id = %(id)s AND order_id IS NOT NULL
UNION SELECT order_id FROM payment_anomalies
       WHERE %(id)s IN (event_id, session_id, payment_intent_id) AND order_id IS NOT NULL
 LIMIT 10
