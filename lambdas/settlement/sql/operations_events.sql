-- What came of an event, or of the last hundred events of orders.
SELECT event_id, order_id, type, route, api_version, outcome, processed_at, last_processed_at
  FROM stripe_events
 WHERE order_id IN %(ids)s OR event_id = %(id)s
 ORDER BY processed_at DESC, event_id
 LIMIT 100
