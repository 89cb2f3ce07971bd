-- Keep a payment that could not be settled, for a person to decide: one transaction, safe to run
-- again. The first delivery's row stays as it is.
BEGIN NOT ATOMIC
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  INSERT INTO payment_anomalies (kind, session_id, order_id, payment_intent_id, amount, currency,
                                 detail, event_id, first_seen_at)
  VALUES (%(kind)s, %(session_id)s, %(order_id)s, %(payment_intent_id)s, %(amount)s, %(currency)s,
          %(detail)s, %(event_id)s, %(now)s)
  ON DUPLICATE KEY UPDATE session_id = VALUES(session_id);
  INSERT INTO stripe_events (event_id, type, route, api_version, outcome, processed_at)
  VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, 'anomaly', %(now)s)
  ON DUPLICATE KEY UPDATE event_id = VALUES(event_id);
  COMMIT;
END
