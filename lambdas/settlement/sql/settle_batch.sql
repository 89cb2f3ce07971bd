-- Settle many paid orders: one packet, one transaction, safe to run again. The rules of
-- settle_order.sql; whatever is not plainly settled by them is left to it, order by order.
--
-- One statement per table, whatever the number of orders. The payments are a JSON array, sorted by
-- order, each order once, so that batches that overlap lock their orders alike; then the discount
-- codes, then the tickets, both by id. A hot ticket is locked once for the whole batch, and last.
--
-- Of each payment: [order, total, tolerance, currency, amount, session, payment intent, event, its
-- type, API version, e-mail]; the total and the tolerance in the unit of the orders.
--
-- Returns one row, (settles, how many, batch): for each payment, 1 if it was settled and 0 if not;
-- how many settlements were written. An error, a sold-out ticket among them, rolls all of it back.
BEGIN NOT ATOMIC
  DECLARE v_payments LONGTEXT CHARACTER SET utf8mb4 DEFAULT %(payments)s;
  DECLARE v_settles LONGTEXT {ascii};
  DECLARE v_counts LONGTEXT CHARACTER SET utf8mb4;
  DECLARE v_number, v_expected, v_anomalies INT DEFAULT 0;
  DECLARE v_at VARCHAR(64) DEFAULT 'order';
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL SET MESSAGE_TEXT = v_at; END;

  START TRANSACTION;
  -- Nothing that this reads can change from here on: it decides for all that follows.
  SELECT GROUP_CONCAT(IF({order_is_open} AND {orders.quantity} > 0
                         AND {amount_fits} AND {currency_fits}, '1', '0')
                      ORDER BY p_place SEPARATOR ''),
         MAX(EXISTS(SELECT 1 FROM payment_anomalies AS a FORCE INDEX (payment_anomalies_order)
                     WHERE a.order_id = p_order_key AND a.resolved_at IS NULL))
    INTO v_settles, v_anomalies
    FROM JSON_TABLE(v_payments, '$[*]' COLUMNS (
           p_place FOR ORDINALITY,
           p_order_id {id_type} PATH '$[0]',
           p_order_key VARCHAR(64) {ascii} PATH '$[0]',
           p_total DECIMAL(22,3) PATH '$[1]',
           p_tolerance DECIMAL(22,3) PATH '$[2]',
           p_currency CHAR(3) {ascii} PATH '$[3]'
         )) AS p LEFT JOIN {orders} ON {orders.id} = p_order_id
     FOR UPDATE;
  SET v_at = 'settlement';
  INSERT INTO settlements (order_id, payment_intent_id, session_id, ticket_id, quantity,
                           discount_code_id, amount, currency, event_id, route, settled_at)
  SELECT {orders.id}, p_payment_intent_id, p_session_id, {orders.ticket_id}, {orders.quantity},
         {discount_code_or_null}, p_amount, p_currency, p_event_id, %(route)s, %(now)s
    FROM JSON_TABLE(v_payments, '$[*]' COLUMNS (
           p_place FOR ORDINALITY,
           p_order_id {id_type} PATH '$[0]',
           p_currency CHAR(3) {ascii} PATH '$[3]',
           p_amount BIGINT PATH '$[4]',
           p_session_id VARCHAR(255) {ascii} PATH '$[5]',
           p_payment_intent_id VARCHAR(255) {ascii} PATH '$[6]',
           p_event_id VARCHAR(255) {ascii} PATH '$[7]'
         )) AS p STRAIGHT_JOIN {orders} ON {orders.id} = p_order_id
   WHERE SUBSTR(v_settles, p_place, 1) = '1';
  SET v_number = ROW_COUNT();
  SET v_at = 'event';
  INSERT INTO stripe_events (event_id, type, route, api_version, outcome, order_id,
                             processed_at, last_processed_at)
  SELECT p_event_id, p_event_type, %(route)s, p_api_version, 'settled', p_order_key,
         %(now)s, %(now)s
    FROM JSON_TABLE(v_payments, '$[*]' COLUMNS (
           p_place FOR ORDINALITY,
           p_order_key VARCHAR(64) {ascii} PATH '$[0]',
           p_event_id VARCHAR(255) {ascii} PATH '$[7]',
           p_event_type VARCHAR(255) {ascii} PATH '$[8]',
           p_api_version VARCHAR(255) {ascii} PATH '$[9]'
         )) AS p
   WHERE SUBSTR(v_settles, p_place, 1) = '1'
  ON DUPLICATE KEY UPDATE outcome = 'settled', order_id = p_order_key,
                          last_processed_at = %(now)s;
  IF v_anomalies THEN
    SET v_at = 'anomaly';
    UPDATE JSON_TABLE(v_payments, '$[*]' COLUMNS (
             p_place FOR ORDINALITY,
             p_order_key VARCHAR(64) {ascii} PATH '$[0]',
             p_session_id VARCHAR(255) {ascii} PATH '$[5]'
           )) AS p STRAIGHT_JOIN payment_anomalies AS a FORCE INDEX (payment_anomalies_order)
           ON a.order_id = p_order_key AND a.session_id = p_session_id AND a.resolved_at IS NULL
       SET a.resolved_at = %(now)s, a.resolution = 'settled'
     WHERE SUBSTR(v_settles, p_place, 1) = '1';
  END IF;
  SET v_at = 'order';
  UPDATE JSON_TABLE(v_payments, '$[*]' COLUMNS (
           p_place FOR ORDINALITY,
           p_order_id {id_type} PATH '$[0]',
           p_session_id VARCHAR(255) {ascii} PATH '$[5]',
           p_payment_intent_id VARCHAR(255) {ascii} PATH '$[6]',
           p_email VARCHAR(512) CHARACTER SET utf8mb4 PATH '$[10]'
         )) AS p STRAIGHT_JOIN {orders} ON {orders.id} = p_order_id
     SET {orders.status} = {paid}, {orders.payment_intent_id} = p_payment_intent_id
         , {orders.paid_at} = %(now)s
         , {orders.session_id} = p_session_id
         , {orders.email} = COALESCE(p_email, {orders.email})
   WHERE SUBSTR(v_settles, p_place, 1) = '1';
  -- if discount_codes
  SET v_at = 'discount code not counted';
  SELECT COUNT(*),
         CONCAT('[', COALESCE(GROUP_CONCAT(JSON_ARRAY(c_id, c_uses) ORDER BY c_id), ''), ']')
    INTO v_expected, v_counts
    FROM (SELECT {orders.discount_code_id} AS c_id, COUNT(*) AS c_uses
            FROM JSON_TABLE(v_payments, '$[*]' COLUMNS (
                   p_place FOR ORDINALITY, p_order_id {id_type} PATH '$[0]'
                 )) AS p STRAIGHT_JOIN {orders} ON {orders.id} = p_order_id
           WHERE SUBSTR(v_settles, p_place, 1) = '1' AND {orders.discount_code_id} IS NOT NULL
           GROUP BY c_id) AS c;
  UPDATE JSON_TABLE(v_counts, '$[*]' COLUMNS (
           c_id {id_type} PATH '$[0]', c_uses INT PATH '$[1]'
         )) AS c STRAIGHT_JOIN {discount_codes} ON {discount_codes.id} = c_id
     SET {discount_codes.used_count} = {discount_codes.used_count} + c_uses;
  IF ROW_COUNT() <> v_expected THEN
    SIGNAL SQLSTATE '45000';
  END IF;
  -- end if
  SET v_at = 'ticket not counted';
  SELECT COUNT(*),
         CONCAT('[', COALESCE(GROUP_CONCAT(JSON_ARRAY(c_id, c_sold) ORDER BY c_id), ''), ']')
    INTO v_expected, v_counts
    FROM (SELECT {orders.ticket_id} AS c_id, SUM({orders.quantity}) AS c_sold
            FROM JSON_TABLE(v_payments, '$[*]' COLUMNS (
                   p_place FOR ORDINALITY, p_order_id {id_type} PATH '$[0]'
                 )) AS p STRAIGHT_JOIN {orders} ON {orders.id} = p_order_id
           WHERE SUBSTR(v_settles, p_place, 1) = '1'
           GROUP BY c_id) AS c;
  UPDATE JSON_TABLE(v_counts, '$[*]' COLUMNS (
           c_id {id_type} PATH '$[0]', c_sold INT PATH '$[1]'
         )) AS c STRAIGHT_JOIN {tickets} ON {tickets.id} = c_id
     SET {tickets.sold_quantity} = {tickets.sold_quantity} + c_sold
   WHERE TRUE
         AND COALESCE({tickets.sold_quantity} + c_sold <= {tickets.max_quantity}, TRUE)
  ;
  IF ROW_COUNT() <> v_expected THEN
    SIGNAL SQLSTATE '45000';
  END IF;
  COMMIT;
  SELECT v_settles, v_number, %(batch)s;
END
