-- (orders that an event of the last 24 h says are paid, how many of them are settled).
SELECT COUNT(DISTINCT e.order_id) AS paid, COUNT(DISTINCT s.order_id) AS settled
  FROM stripe_events AS e
  LEFT JOIN settlements AS s ON s.order_id = e.order_id
 WHERE e.outcome IN ('settled', 'anomaly')
   AND COALESCE(e.last_processed_at, e.processed_at) >= UTC_TIMESTAMP(6) - INTERVAL 1 DAY
