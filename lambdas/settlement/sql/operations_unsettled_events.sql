-- Payments that an event told of and no settlement is known of, unless the operator has resolved
-- the anomaly: (event_id, order_id, type, route, outcome, processed_at, last_processed_at).
SELECT e.event_id, e.order_id, e.type, e.route, e.outcome, e.processed_at, e.last_processed_at
  FROM stripe_events AS e
  LEFT JOIN settlements AS s ON s.order_id = e.order_id
 WHERE e.outcome IN ('settled', 'anomaly') AND s.order_id IS NULL
   AND NOT EXISTS (SELECT 1 FROM payment_anomalies AS a
                    WHERE a.order_id = e.order_id AND a.event_id = e.event_id
                      AND a.resolved_at IS NOT NULL)
 ORDER BY e.processed_at DESC, e.event_id
 LIMIT %(limit)s
