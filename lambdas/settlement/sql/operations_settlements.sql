-- The settlements of orders.
SELECT order_id, session_id, payment_intent_id, ticket_id, quantity, discount_code_id, amount,
       currency, event_id, route, settled_at
  FROM settlements
 WHERE order_id IN %(ids)s
