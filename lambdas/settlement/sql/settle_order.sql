-- Settle one paid order: one packet, one transaction, safe to run again.
--
-- Lock order, here and everywhere: order, then discount code, then ticket. The ticket is the row
-- that a whole sale shares, so it is locked last and held for no longer than the commit takes.
-- Runs at READ COMMITTED in strict sql_mode, both set on the connection. Times are UTC.
--
-- When it has settled the order, which is nearly always, it answers no row: a result set would cost
-- a tenth of the settlement. Otherwise it answers one, has written nothing, and review_order.sql
-- says why.
BEGIN NOT ATOMIC
  DECLARE v_ticket, v_discount BIGINT;
  DECLARE v_quantity INT;
  -- 1205 rolls back its statement alone and leaves the transaction, and its locks, open.
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  -- The order has a settlement although its status is open, or the payment is another order's.
  DECLARE EXIT HANDLER FOR 1062 BEGIN ROLLBACK; SELECT 'not settled'; END;

  START TRANSACTION;
  SELECT ticket_id, quantity, discount_code_id INTO v_ticket, v_quantity, v_discount
    FROM ticket_orders
   WHERE id = %(order_id)s AND status IN ('pending', 'processing', 'payment_failed')
     AND total_amount = %(amount)s AND currency = %(currency)s
     FOR UPDATE;
  IF v_ticket IS NULL THEN
    ROLLBACK;
    SELECT 'not settled';
  ELSE
    UPDATE ticket_orders
       SET status = 'paid', stripe_payment_intent_id = %(payment_intent_id)s, paid_at = %(now)s
     WHERE id = %(order_id)s;
    INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                             discount_code_id, amount, currency, event_id, route, settled_at)
    VALUES (%(order_id)s, %(payment_intent_id)s, %(session_id)s, v_ticket, v_quantity,
            v_discount, %(amount)s, %(currency)s, %(event_id)s, %(route)s, %(now)s);
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
  END IF;
END
