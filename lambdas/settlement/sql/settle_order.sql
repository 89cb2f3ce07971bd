-- Settle one paid order: one packet, one transaction, safe to run again.
--
-- Lock order, here and everywhere: order, then discount code, then ticket. The ticket is the row
-- that a whole sale shares, so it is locked last and held for no longer than the commit takes.
-- Runs at READ COMMITTED in strict sql_mode, both set on the connection. Times are UTC.
--
-- Returns no row when it has settled the order, which is nearly always: a result set would cost a
-- tenth of the settlement. The rows it changed are the evidence: the order, its settlement, the
-- event and the ticket at least. Otherwise it returns (what, detail, event):
--   settled, oversold   settled, and more tickets are sold than there are
--   oversold            the ticket is sold out; nothing was written
--   not settled         nothing was written; review_order.sql says why
-- An error says where it came from, in our words: the server's may quote a row, a trigger anything.
BEGIN NOT ATOMIC
  DECLARE v_order VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_ticket, v_discount {id_type};
  DECLARE v_quantity, v_counted INT;
  DECLARE v_sold_out BOOLEAN DEFAULT FALSE;
  DECLARE v_detail VARCHAR(255) CHARACTER SET utf8mb4;
  DECLARE v_at VARCHAR(64) DEFAULT 'order';
  -- 1205 rolls back its statement alone and leaves the transaction, and its locks, open.
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT = v_at; END;

  START TRANSACTION;
  SELECT {orders.id}, {orders.ticket_id}, {orders.quantity}
         -- if discount_codes
         , {orders.discount_code_id}
         -- end if
    INTO v_order, v_ticket, v_quantity
         -- if discount_codes
         , v_discount
         -- end if
    FROM {orders}
   WHERE {orders.id} = %(order_id)s AND {order_is_open} AND {orders.quantity} > 0
     AND {amount_fits} AND {currency_fits}
     FOR UPDATE;
  IF v_order IS NULL THEN
    ROLLBACK;
    SELECT 'not settled', '', %(event_id)s;
  ELSE
    UPDATE {orders}
       SET {orders.status} = {paid}, {orders.payment_intent_id} = %(payment_intent_id)s
           , {orders.paid_at} = %(now)s
           , {orders.session_id} = %(session_id)s
           , {orders.email} = COALESCE(%(email)s, {orders.email})
     WHERE {orders.id} = %(order_id)s;
    SET v_at = 'settlement';
    INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                             discount_code_id, amount, currency, event_id, route, settled_at)
    VALUES (v_order, %(payment_intent_id)s, %(session_id)s, v_ticket, v_quantity,
            v_discount, %(amount)s, %(currency)s, %(event_id)s, %(route)s, %(now)s);
    SET v_at = 'event';
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, order_id,
                               processed_at, last_processed_at)
    VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, 'settled', v_order,
            %(now)s, %(now)s)
    ON DUPLICATE KEY UPDATE outcome = 'settled', order_id = v_order, last_processed_at = %(now)s;
    SET v_at = 'anomaly';
    -- Whatever kept this payment from settling its order before has passed.
    UPDATE payment_anomalies SET resolved_at = %(now)s, resolution = 'settled'
     WHERE order_id = v_order AND session_id = %(session_id)s AND resolved_at IS NULL;
    -- if discount_codes
    IF v_discount IS NOT NULL THEN
      SET v_at = 'discount code';
      UPDATE {discount_codes}
         SET {discount_codes.used_count} = {discount_codes.used_count} + 1
       WHERE {discount_codes.id} = v_discount;
      IF ROW_COUNT() <> 1 THEN
        SET v_at = 'discount code not counted';
        SIGNAL SQLSTATE '45000';
      END IF;
    END IF;
    -- end if
    SET v_at = 'ticket';
    UPDATE {tickets}
       SET {tickets.sold_quantity} = {tickets.sold_quantity} + v_quantity
     WHERE {tickets.id} = v_ticket
           AND COALESCE({tickets.sold_quantity} + v_quantity <= {tickets.max_quantity}, TRUE)
    ;
    SET v_counted = ROW_COUNT();
    -- if tickets.max_quantity
    IF v_counted = 0 THEN
      -- Sold out, nearly always: looked at under the lock, because a refund may come in between.
      SELECT COALESCE({tickets.sold_quantity} + v_quantity > {tickets.max_quantity}, FALSE),
             CONCAT(v_quantity, ' paid, ', {tickets.sold_quantity}, ' of ', {tickets.max_quantity},
                    ' were sold before')
        INTO v_sold_out, v_detail
        FROM {tickets} WHERE {tickets.id} = v_ticket FOR UPDATE;
      IF {settles_when_sold_out} OR NOT v_sold_out THEN
        UPDATE {tickets}
           SET {tickets.sold_quantity} = {tickets.sold_quantity} + v_quantity
         WHERE {tickets.id} = v_ticket;
        SET v_counted = ROW_COUNT();
      END IF;
    END IF;
    -- end if
    IF v_counted = 1 AND NOT v_sold_out THEN
      COMMIT;
    ELSEIF v_counted = 1 THEN
      SET v_at = 'anomaly';
      INSERT INTO payment_anomalies (kind, session_id, order_id, payment_intent_id, amount,
                                     currency, detail, event_id, first_seen_at)
      VALUES ('oversold', %(session_id)s, v_order, %(payment_intent_id)s, %(amount)s,
              %(currency)s, v_detail, %(event_id)s, %(now)s)
      ON DUPLICATE KEY UPDATE detail = v_detail, resolved_at = NULL, resolution = NULL;
      COMMIT;
      SELECT 'settled, oversold', v_detail, %(event_id)s;
    ELSEIF v_sold_out THEN
      ROLLBACK;
      SELECT 'oversold', v_detail, %(event_id)s;
    ELSE
      SET v_at = 'ticket not counted';
      SIGNAL SQLSTATE '45000';
    END IF;
  END IF;
END
