-- Settle many paid orders: one packet, one transaction, safe to run again. The rules of
-- settle_order.sql; whatever is not plainly settled by them is left to it, order by order.
--
-- The payments are a JSON array, sorted by order, each order once, so that batches that overlap lock
-- their orders alike; then the discount codes, then the tickets, both by id. A hot ticket is locked
-- once for all orders of the batch, and last.
--
-- Returns one row, (settled, how many, batch): the places in the array of what was settled, with
-- commas. An error, a sold-out ticket among them, rolls all of it back.
BEGIN NOT ATOMIC
  DECLARE v_settled, v_counts LONGTEXT CHARACTER SET utf8mb4 DEFAULT '';
  DECLARE v_number, v_expected, v_counted INT DEFAULT 0;
  DECLARE v_at VARCHAR(64) DEFAULT 'order';
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT = v_at; END;

  START TRANSACTION;
  FOR o IN (
    SELECT p.*, {orders.id} AS p_order, {orders.ticket_id} AS p_ticket,
           {orders.quantity} AS p_quantity,
           {discount_code_or_null} AS p_discount
      FROM JSON_TABLE(%(payments)s, '$[*]' COLUMNS (
             p_place INT PATH '$.place',
             p_order_id {id_type} PATH '$.order_id',
             p_session_id VARCHAR(255) {ascii} PATH '$.session_id',
             p_payment_intent_id VARCHAR(255) {ascii} PATH '$.payment_intent_id',
             p_amount BIGINT PATH '$.amount',
             p_currency CHAR(3) {ascii} PATH '$.currency',
             p_total DECIMAL(22,3) PATH '$.total',
             p_tolerance DECIMAL(22,3) PATH '$.tolerance',
             p_email VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.email',
             p_event_id VARCHAR(255) {ascii} PATH '$.event_id',
             p_event_type VARCHAR(255) {ascii} PATH '$.event_type',
             p_api_version VARCHAR(255) {ascii} PATH '$.api_version'
           )) AS p STRAIGHT_JOIN {orders} ON {orders.id} = p_order_id
     WHERE {order_is_open} AND {orders.quantity} > 0 AND {amount_fits} AND {currency_fits}
       FOR UPDATE
  ) DO
    SET v_at = 'order';
    UPDATE {orders}
       SET {orders.status} = {paid}, {orders.payment_intent_id} = o.p_payment_intent_id
           , {orders.paid_at} = %(now)s
           , {orders.session_id} = o.p_session_id
           , {orders.email} = COALESCE(o.p_email, {orders.email})
     WHERE {orders.id} = o.p_order_id;
    SET v_at = 'settlement';
    INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                             discount_code_id, amount, currency, event_id, route, settled_at)
    VALUES (o.p_order, o.p_payment_intent_id, o.p_session_id, o.p_ticket, o.p_quantity,
            o.p_discount, o.p_amount, o.p_currency, o.p_event_id, %(route)s, %(now)s);
    SET v_at = 'event';
    INSERT INTO stripe_events (event_id, type, route, api_version, outcome, order_id,
                               processed_at, last_processed_at)
    VALUES (o.p_event_id, o.p_event_type, %(route)s, o.p_api_version, 'settled', o.p_order,
            %(now)s, %(now)s)
    ON DUPLICATE KEY UPDATE outcome = 'settled', order_id = o.p_order, last_processed_at = %(now)s;
    SET v_at = 'anomaly';
    UPDATE payment_anomalies SET resolved_at = %(now)s, resolution = 'settled'
     WHERE order_id = o.p_order AND session_id = o.p_session_id AND resolved_at IS NULL;
    SET v_settled = CONCAT_WS(',', NULLIF(v_settled, ''), o.p_place), v_number = v_number + 1,
        v_counts = CONCAT_WS(',', NULLIF(v_counts, ''), JSON_OBJECT(
          'ticket', o.p_ticket, 'quantity', o.p_quantity, 'discount', o.p_discount));
  END FOR;
  SET v_counts = CONCAT('[', v_counts, ']');
  -- if discount_codes
  SET v_at = 'discount code not counted';
  SELECT COUNT(DISTINCT c_id) INTO v_expected
    FROM JSON_TABLE(v_counts, '$[*]' COLUMNS (c_id {id_type} PATH '$.discount')) AS c;
  UPDATE (SELECT c_id, COUNT(*) AS c_uses
            FROM JSON_TABLE(v_counts, '$[*]' COLUMNS (c_id {id_type} PATH '$.discount')) AS c
           WHERE c_id IS NOT NULL GROUP BY c_id ORDER BY c_id) AS counted
         STRAIGHT_JOIN {discount_codes} ON {discount_codes.id} = c_id
     SET {discount_codes.used_count} = {discount_codes.used_count} + c_uses;
  SET v_counted = ROW_COUNT();
  IF v_counted <> v_expected THEN
    SIGNAL SQLSTATE '45000';
  END IF;
  -- end if
  SET v_at = 'ticket not counted';
  SELECT COUNT(DISTINCT c_id) INTO v_expected
    FROM JSON_TABLE(v_counts, '$[*]' COLUMNS (c_id {id_type} PATH '$.ticket')) AS c;
  UPDATE (SELECT c_id, SUM(c_quantity) AS c_sold
            FROM JSON_TABLE(v_counts, '$[*]' COLUMNS (
                   c_id {id_type} PATH '$.ticket', c_quantity INT PATH '$.quantity')) AS c
           GROUP BY c_id ORDER BY c_id) AS counted
         STRAIGHT_JOIN {tickets} ON {tickets.id} = c_id
     SET {tickets.sold_quantity} = {tickets.sold_quantity} + c_sold
   WHERE TRUE
         AND COALESCE({tickets.sold_quantity} + c_sold <= {tickets.max_quantity}, TRUE)
  ;
  SET v_counted = ROW_COUNT();
  IF v_counted <> v_expected THEN
    SIGNAL SQLSTATE '45000';
  END IF;
  COMMIT;
  SELECT v_settled, v_number, %(batch)s;
END
