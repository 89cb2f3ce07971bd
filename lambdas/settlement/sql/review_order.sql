-- Say why a checkout session does not settle its order, and note what it does say of it.
-- One transaction, safe to run again, under the same lock and settings as settle_order.sql.
--
-- Returns one row, (verdict, detail, event). The verdicts duplicate and awaiting_payment are
-- committed. Every other has written nothing: unknown_order, an anomaly's kind, or open, when
-- nothing is in the way: the order has changed since it was last tried, or an error came from it.
BEGIN NOT ATOMIC
  DECLARE v_order VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_open, v_paid, v_refunded, v_may_process, v_may_fail BOOLEAN;
  DECLARE v_same_payment, v_amount_fits, v_currency_fits, v_quantity_fits BOOLEAN;
  DECLARE v_settled_session, v_settled_intent VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_verdict VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin;
  DECLARE v_detail VARCHAR(255) CHARACTER SET utf8mb4;
  DECLARE v_at VARCHAR(64) DEFAULT 'order';
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT = v_at; END;

  START TRANSACTION;
  -- Ids are compared byte by byte, whatever the column's collation.
  SELECT {orders.id}, {order_is_open}, {orders.status} = {paid}, {order_is_refunded},
         {orders.status} = {open}, {orders.status} IN ({open}, {processing}),
         CAST({orders.payment_intent_id} AS BINARY) <=> CAST(%(payment_intent_id)s AS BINARY),
         {amount_fits}, {currency_fits}, {orders.quantity} > 0,
         CONCAT_WS(' ', LEFT({orders.status}, 64), {orders.total_amount},
                   CONCAT({order_currency}, ','), 'quantity', COALESCE({orders.quantity}, 'NULL'))
    INTO v_order, v_open, v_paid, v_refunded, v_may_process, v_may_fail,
         v_same_payment, v_amount_fits, v_currency_fits, v_quantity_fits, v_detail
    FROM {orders}
   WHERE {orders.id} = %(order_id)s
     FOR UPDATE;
  SELECT session_id, payment_intent_id INTO v_settled_session, v_settled_intent
    FROM settlements WHERE order_id = COALESCE(v_order, %(order_key)s);

  SET v_verdict = CASE
    WHEN v_settled_session = %(session_id)s OR v_settled_intent = %(payment_intent_id)s
         THEN IF(%(state)s = 'paid', 'duplicate', 'awaiting_payment')
    WHEN %(state)s <> 'paid' THEN IF(v_order IS NULL, 'unknown_order', 'awaiting_payment')
    WHEN v_settled_session IS NOT NULL THEN 'second_payment'
    WHEN v_order IS NULL THEN 'unknown_order'
    WHEN v_open THEN CASE
      WHEN NOT COALESCE(v_currency_fits, FALSE) THEN 'currency_mismatch'
      -- Before the amount, whose tolerance is the quantity's.
      WHEN NOT COALESCE(v_quantity_fits, FALSE) THEN 'cannot_be_settled'
      WHEN NOT COALESCE(v_amount_fits, FALSE) THEN 'amount_mismatch'
      WHEN EXISTS (SELECT 1 FROM settlements WHERE session_id = %(session_id)s)
           OR EXISTS (SELECT 1 FROM settlements WHERE payment_intent_id = %(payment_intent_id)s)
           -- Only after error 1062, by a unique key of the shop's: without it, every order is read.
           OR %(error)s = 1062 AND EXISTS (
                SELECT 1 FROM {orders} WHERE {orders.payment_intent_id} = %(payment_intent_id)s
                                             AND {orders.id} <> %(order_id)s)
        THEN 'payment_reused'
      ELSE 'open'
    END
    -- Paid before settlements were recorded: the order alone tells by what.
    WHEN (v_paid OR v_refunded) AND v_same_payment THEN 'duplicate'
    WHEN v_paid THEN 'second_payment'
    ELSE 'late_payment'
  END;

  IF v_verdict IN ('duplicate', 'awaiting_payment') THEN
    IF %(state)s = 'unpaid' AND v_may_process AND v_settled_session IS NULL THEN
      UPDATE {orders} SET {orders.status} = {processing} WHERE {orders.id} = %(order_id)s;
    ELSEIF %(state)s = 'failed' AND v_may_fail AND v_settled_session IS NULL THEN
      UPDATE {orders} SET {orders.status} = {payment_failed} WHERE {orders.id} = %(order_id)s;
    END IF;
    SET v_at = 'event';
    -- What came of the event when it was first delivered stands.
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, order_id,
                               processed_at, last_processed_at)
    VALUES (%(event_id)s, %(event_type)s, %(route)s, %(api_version)s, v_verdict, %(order_key)s,
            %(now)s, %(now)s)
    ON DUPLICATE KEY UPDATE last_processed_at = %(now)s;
    COMMIT;
  ELSE
    ROLLBACK;
  END IF;
  SELECT v_verdict, v_detail, %(event_id)s;
END
