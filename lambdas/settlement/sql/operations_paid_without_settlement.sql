-- Orders that say they are paid and have no settlement: (order_id), the newest ids first. Those paid
-- before settlements were recorded are among them.
SELECT o.{orders.id} AS order_id
  FROM {orders} AS o
  LEFT JOIN settlements AS s
    ON s.order_id = CONVERT(o.{orders.id} USING ascii) COLLATE ascii_bin
 WHERE o.{orders.status} = {paid} AND s.order_id IS NULL
 ORDER BY o.{orders.id} DESC
 LIMIT %(limit)s
