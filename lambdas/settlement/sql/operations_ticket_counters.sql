-- Tickets whose counter is not what their paid orders add up to.
SELECT t.{tickets.id} AS id, t.{tickets.sold_quantity} AS counter, COALESCE(o.counted, 0) AS paid
  FROM {tickets} AS t
  LEFT JOIN (SELECT {orders.ticket_id} AS ticket, SUM({orders.quantity}) AS counted
               FROM {orders} WHERE {orders.status} = {paid} GROUP BY {orders.ticket_id}) AS o
    ON o.ticket = t.{tickets.id}
 WHERE NOT t.{tickets.sold_quantity} <=> COALESCE(o.counted, 0)
 ORDER BY t.{tickets.id}
 LIMIT 100
