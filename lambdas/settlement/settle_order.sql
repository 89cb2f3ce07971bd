-- Apply what a checkout session says of its order: one packet, one transaction, safe to run again.
--
-- Lock order, here and everywhere: order, then discount code, then ticket. The ticket is the row
-- that a whole sale shares, so it is locked last and held for no longer than the commit takes.
-- Runs at READ COMMITTED in strict sql_mode, both set on the connection. Times are UTC.
--
-- When it has settled the order, which is nearly always, it answers no row: a result set would cost
-- a tenth of the settlement. Otherwise it answers one, (verdict, what the order is). The verdicts
-- duplicate and awaiting_payment are committed; every other is an anomaly's kind, or unknown_order,
-- and nothing was written.
BEGIN NOT ATOMIC
  DECLARE v_status, v_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_settled_session, v_settled_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_ticket, v_discount, v_amount BIGINT;
  DECLARE v_quantity INT;
  DECLARE v_verdict VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  -- 1205 rolls back its statement alone and leaves the transaction, and its locks, open.
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  -- A duplicate key. The order has no settlement while we hold it, so it is the payment or the
  -- session that already belongs to another order.
  DECLARE EXIT HANDLER FOR 1062
  BEGIN
    ROLLBACK;
    SELECT 'payment_reused', CONCAT_WS(' ', v_status, v_amount, v_currency);
  END;

  START TRANSACTION;
  SELECT o.status, o.stripe_payment_intent_id, o.total_amount, o.currency, o.ticket_id, o.quantity,
         o.discount_code_id, s.session_id, s.payment_intent_id
    INTO v_status, v_intent, v_amount, v_currency, v_ticket, v_quantity,
         v_discount, v_settled_session, v_settled_intent
    FROM ticket_orders AS o LEFT JOIN settlements AS s ON s.order_id = o.id
   WHERE o.id = %(order_id)s
     FOR UPDATE;

  IF %(state)s = 'paid' AND v_settled_session IS NULL
     AND v_status IN ('pending', 'processing', 'payment_failed')
     AND v_amount = %(amount)s AND v_currency = %(currency)s
  THEN
    UPDATE ticket_orders
       SET status = 'paid', stripe_payment_intent_id = %(payment_intent_id)s, paid_at = %(now)s
     WHERE id = %(order_id)s;
    INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                             discount_code_id, amount, currency, event_id, route, settled_at)
    VALUES (%(order_id)s, %(payment_intent_id)s, %(session_id)s, v_ticket, v_quantity,
            v_discount, v_amount, v_currency, %(event_id)s, %(route)s, %(now)s);
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, processed_at)
    VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, 'settled', %(now)s)
    ON DUPLICATE KEY UPDATE outcome = 'settled';
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
    COMMIT;
  ELSE
    SET v_verdict = CASE
      WHEN v_status IS NULL THEN 'unknown_order'
      WHEN %(state)s <> 'paid' THEN 'awaiting_payment'
      WHEN v_settled_session = %(session_id)s OR v_settled_intent = %(payment_intent_id)s
        THEN 'duplicate'
      WHEN v_settled_session IS NOT NULL THEN 'second_payment'
      WHEN v_status IN ('pending', 'processing', 'payment_failed')
        THEN IF(v_amount = %(amount)s, 'currency_mismatch', 'amount_mismatch')
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
  END IF;
END
