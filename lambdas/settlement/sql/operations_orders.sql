-- Orders by their ids, without what is personal.
SELECT {orders.id} AS id,
       LEFT({orders.status}, 64) AS status,
       {orders.quantity} AS quantity,
       {orders.ticket_id} AS ticket_id,
       -- if discount_codes
       {orders.discount_code_id} AS discount_code_id,
       -- end if
       {orders.paid_at} AS paid_at,
       {orders.session_id} AS session_id,
       {orders.total_amount} AS amount,
       {order_currency} AS currency,
       {orders.payment_intent_id} AS payment_intent_id
  FROM {orders}
 WHERE {orders.id} IN %(ids)s
