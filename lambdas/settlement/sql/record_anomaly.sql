-- Keep a payment that could not be settled, for a person to decide: one transaction, safe to run
-- again. The first delivery's row stays as it is. If its session has settled the order meanwhile,
-- there is nothing left to decide. Returns one row, (recorded, detail, event).
BEGIN NOT ATOMIC
  DECLARE v_settled BOOLEAN DEFAULT FALSE;
  DECLARE v_at VARCHAR(64) DEFAULT 'anomaly';
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT = v_at; END;

  START TRANSACTION;
  -- if statuses.held
  IF %(kind)s = 'oversold' THEN
    SET v_at = 'order';
    UPDATE {orders} SET {orders.status} = {held}
     WHERE {orders.id} = %(order_id)s AND {order_is_open};
    SET v_at = 'anomaly';
  END IF;
  -- end if
  SET v_settled = EXISTS (SELECT 1 FROM settlements
                           WHERE session_id = %(session_id)s AND order_id = %(order_key)s);
  INSERT INTO payment_anomalies (kind, session_id, order_id, payment_intent_id, amount, currency,
                                 detail, event_id, first_seen_at, resolved_at, resolution)
  VALUES (%(kind)s, %(session_id)s, %(order_key)s, %(payment_intent_id)s, %(amount)s, %(currency)s,
          %(detail)s, %(event_id)s, %(now)s,
          IF(v_settled, %(now)s, NULL), IF(v_settled, 'settled', NULL))
  ON DUPLICATE KEY UPDATE session_id = VALUES(session_id);
  SET v_at = 'event';
  INSERT INTO stripe_events (event_id, type, route, api_version, outcome, order_id,
                             processed_at, last_processed_at)
  VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, 'anomaly', %(order_key)s,
          %(now)s, %(now)s)
  ON DUPLICATE KEY UPDATE last_processed_at = %(now)s;
  COMMIT;
  SELECT 'recorded', '', %(event_id)s;
END
