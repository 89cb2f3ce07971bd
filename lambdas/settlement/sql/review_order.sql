-- Say why a checkout session does not settle its order, and note what it does say of it.
-- One transaction, safe to run again, under the same lock and settings as settle_order.sql.
--
-- Answers one row, (verdict, what the order is). The verdicts duplicate and awaiting_payment are
-- committed. Every other has written nothing: unknown_order, an anomaly's kind, or open, when the
-- order has changed since it was last tried and can be settled after all.
BEGIN NOT ATOMIC
  DECLARE v_status, v_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_settled_session, v_settled_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_amount BIGINT;
  DECLARE v_verdict VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  START TRANSACTION;
  SELECT o.status, o.stripe_payment_intent_id, o.total_amount, o.currency,
         s.session_id, s.payment_intent_id
    INTO v_status, v_intent, v_amount, v_currency, v_settled_session, v_settled_intent
    FROM ticket_orders AS o LEFT JOIN settlements AS s ON s.order_id = o.id
   WHERE o.id = %(order_id)s
     FOR UPDATE;

  SET v_verdict = CASE
    WHEN v_status IS NULL THEN 'unknown_order'
    WHEN %(state)s <> 'paid' THEN 'awaiting_payment'
    WHEN v_settled_session = %(session_id)s OR v_settled_intent = %(payment_intent_id)s
      THEN 'duplicate'
    WHEN v_settled_session IS NOT NULL THEN 'second_payment'
    WHEN v_status IN ('pending', 'processing', 'payment_failed') THEN CASE
      WHEN v_amount <> %(amount)s THEN 'amount_mismatch'
      WHEN v_currency <> %(currency)s THEN 'currency_mismatch'
      WHEN EXISTS (SELECT 1 FROM settlements WHERE session_id = %(session_id)s)
           OR EXISTS (SELECT 1 FROM settlements WHERE payment_intent_id = %(payment_intent_id)s)
           OR EXISTS (SELECT 1 FROM ticket_orders
                       WHERE stripe_payment_intent_id = %(payment_intent_id)s
                         AND id <> %(order_id)s)
        THEN 'payment_reused'
      ELSE 'open'
    END
    -- Paid before settlements were recorded: the order alone tells by what.
    WHEN v_status IN ('paid', 'refunded', 'partially_refunded')
         AND v_intent <=> %(payment_intent_id)s
      THEN 'duplicate'
    WHEN v_status = 'paid' THEN 'second_payment'
    ELSE 'late_payment'
  END;

  IF v_verdict IN ('duplicate', 'awaiting_payment') THEN
    IF %(state)s = 'unpaid' AND v_status = 'pending' THEN
      UPDATE ticket_orders SET status = 'processing' WHERE id = %(order_id)s;
    ELSEIF %(state)s = 'failed' AND v_status IN ('pending', 'processing')
           AND v_settled_session IS NULL
    THEN
      UPDATE ticket_orders SET status = 'payment_failed' WHERE id = %(order_id)s;
    END IF;
    -- What the event came to when it was first delivered stands.
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, processed_at)
    VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, v_verdict, %(now)s)
    ON DUPLICATE KEY UPDATE event_id = VALUES(event_id);
    COMMIT;
  ELSE
    ROLLBACK;
  END IF;
  SELECT v_verdict, CONCAT_WS(' ', v_status, v_amount, v_currency);
END
