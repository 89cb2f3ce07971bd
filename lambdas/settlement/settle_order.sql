-- Apply what a checkout session says of its order: one packet, one transaction, safe to run again.
--
-- Lock order, here and everywhere: order, then discount code, then ticket. The ticket is the row
-- that a whole sale shares, so it is locked last and held for no longer than the commit takes.
-- Runs at READ COMMITTED in strict sql_mode, both set on the connection. Times are UTC.
--
-- Answers one row, (outcome, anomaly kind). The outcome unknown_order means that the order may yet
-- come and that nothing was written; every other outcome is committed.
BEGIN NOT ATOMIC
  -- p_: what the event says
  DECLARE p_order BIGINT DEFAULT %(order_id)s;
  DECLARE p_order_may_be_late BOOLEAN DEFAULT %(order_may_be_late)s;
  DECLARE p_state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(state)s;
  DECLARE p_session VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(session_id)s;
  DECLARE p_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(payment_intent_id)s;
  DECLARE p_amount BIGINT DEFAULT %(amount)s;
  DECLARE p_currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(currency)s;
  DECLARE p_event VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(event_id)s;
  DECLARE p_type VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(event_type)s;
  DECLARE p_api_version VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(api_version)s;
  DECLARE p_route VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT %(route)s;
  DECLARE p_now DATETIME(6) DEFAULT %(now)s;
  -- v_: what the ledger says, and what comes of it
  DECLARE v_status, v_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_settled_session, v_settled_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_ticket, v_discount, v_amount BIGINT;
  DECLARE v_quantity INT;
  DECLARE v_outcome, v_anomaly VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  -- 1205 rolls back its statement alone and leaves the transaction, and its locks, open.
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  START TRANSACTION;
  SELECT o.status, o.stripe_payment_intent_id, o.total_amount, o.currency, o.ticket_id, o.quantity,
         o.discount_code_id, s.session_id, s.payment_intent_id
    INTO v_status, v_intent, v_amount, v_currency, v_ticket, v_quantity,
         v_discount, v_settled_session, v_settled_intent
    FROM ticket_orders AS o LEFT JOIN settlements AS s ON s.order_id = o.id
   WHERE o.id = p_order
     FOR UPDATE;

  IF v_status IS NULL AND p_order_may_be_late THEN SET v_outcome = 'unknown_order';
  ELSEIF v_status IS NULL THEN SET v_anomaly = 'unknown_order';
  ELSEIF p_state <> 'paid' THEN SET v_outcome = 'awaiting_payment';
  ELSEIF v_settled_session = p_session OR v_settled_intent = p_intent THEN SET v_outcome = 'duplicate';
  ELSEIF v_settled_session IS NOT NULL THEN SET v_anomaly = 'second_payment';
  ELSEIF v_status IN ('pending', 'processing', 'payment_failed') THEN
    IF NOT (v_amount <=> p_amount) THEN SET v_anomaly = 'amount_mismatch';
    ELSEIF NOT (v_currency <=> p_currency) THEN SET v_anomaly = 'currency_mismatch';
    ELSE SET v_outcome = 'settled';
    END IF;
  -- Paid before settlements were recorded: the order alone tells by what.
  ELSEIF v_status IN ('paid', 'refunded', 'partially_refunded') AND v_intent <=> p_intent THEN
    SET v_outcome = 'duplicate';
  ELSEIF v_status = 'paid' THEN SET v_anomaly = 'second_payment';
  ELSE SET v_anomaly = 'late_payment';
  END IF;

  IF v_outcome = 'settled' THEN
    SAVEPOINT classified;
    BEGIN
      -- One payment, or one session, names two orders: the first keeps it.
      DECLARE EXIT HANDLER FOR 1062
      BEGIN
        ROLLBACK TO SAVEPOINT classified;
        SET v_outcome = NULL, v_anomaly = 'payment_reused';
      END;
      UPDATE ticket_orders
         SET status = 'paid', stripe_payment_intent_id = p_intent, paid_at = p_now
       WHERE id = p_order;
      INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                               discount_code_id, amount, currency, event_id, route, settled_at)
      VALUES (p_order, p_intent, p_session, v_ticket, v_quantity,
              v_discount, p_amount, p_currency, p_event, p_route, p_now);
    END;
  ELSEIF p_state = 'unpaid' AND v_status = 'pending' THEN
    UPDATE ticket_orders SET status = 'processing' WHERE id = p_order;
  ELSEIF p_state = 'failed' AND v_status IN ('pending', 'processing') AND v_settled_session IS NULL THEN
    UPDATE ticket_orders SET status = 'payment_failed' WHERE id = p_order;
  END IF;

  IF v_anomaly IS NOT NULL THEN
    SET v_outcome = 'anomaly';
    INSERT INTO payment_anomalies (kind, session_id, order_id, payment_intent_id, amount, currency,
                                   detail, event_id, first_seen_at)
    VALUES (v_anomaly, p_session, p_order, p_intent, p_amount, p_currency,
            IF(v_status IS NULL, 'no such order',
               CONCAT('the order is ', v_status, ', ', v_amount, ' ', v_currency)),
            p_event, p_now)
    ON DUPLICATE KEY UPDATE session_id = VALUES(session_id);
  END IF;
  IF v_outcome <> 'unknown_order' THEN
    -- A duplicate does not overwrite what the event came to when it was first delivered.
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, processed_at)
    VALUES (p_event, p_type, p_route, p_api_version, v_outcome, p_now)
    ON DUPLICATE KEY UPDATE outcome = IF(VALUES(outcome) = 'duplicate', outcome, VALUES(outcome));
  END IF;

  IF v_outcome = 'settled' THEN
    IF v_discount IS NOT NULL THEN
      UPDATE discount_codes SET used_count = used_count + 1 WHERE id = v_discount;
      IF ROW_COUNT() <> 1 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the discount code of the order was not counted';
      END IF;
    END IF;
    UPDATE tickets SET sold_quantity = sold_quantity + v_quantity WHERE id = v_ticket;
    IF ROW_COUNT() <> 1 THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the ticket of the order was not counted';
    END IF;
  END IF;
  COMMIT;
  SELECT v_outcome, v_anomaly;
END
