-- Close one anomaly as the operator says: one transaction, safe to run again. A closed one is not
-- changed. 'settled' is believed only if the ledger holds a settlement by this very payment.
--
-- Returns one row, (state, resolution, resolved_at, request): resolved, already_resolved,
-- not_settled or no_such_anomaly.
BEGIN NOT ATOMIC
  DECLARE v_id BIGINT;
  DECLARE v_session, v_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_order VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_resolution VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_resolved_at DATETIME(6);
  DECLARE v_state VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  START TRANSACTION;
  SELECT id, session_id, payment_intent_id, order_id, resolution, resolved_at
    INTO v_id, v_session, v_intent, v_order, v_resolution, v_resolved_at
    FROM payment_anomalies WHERE id = %(id)s FOR UPDATE;
  SET v_state = CASE
    WHEN v_id IS NULL THEN 'no_such_anomaly'
    WHEN v_resolved_at IS NOT NULL THEN 'already_resolved'
    WHEN %(resolution)s = 'settled' AND NOT EXISTS (
           SELECT 1 FROM settlements
            WHERE order_id = COALESCE(v_order, order_id)  -- a thin event's anomaly names no order
              AND (session_id = v_session OR payment_intent_id = v_intent)) THEN 'not_settled'
    ELSE 'resolved'
  END;
  IF v_state = 'resolved' THEN
    SET v_resolution = %(resolution)s, v_resolved_at = %(now)s;
    UPDATE payment_anomalies
       SET resolution = v_resolution, resolved_at = v_resolved_at,
           resolved_by = %(by)s, resolution_note = %(note)s
     WHERE id = v_id;
  END IF;
  COMMIT;
  SELECT v_state, v_resolution, v_resolved_at, %(request)s;
END
