-- Discount codes whose counter is not how many paid orders used them.
SELECT d.{discount_codes.id} AS id, d.{discount_codes.used_count} AS counter,
       COALESCE(o.counted, 0) AS paid
  FROM {discount_codes} AS d
  LEFT JOIN (SELECT {orders.discount_code_id} AS code, COUNT(*) AS counted
               FROM {orders}
              WHERE {orders.status} = {paid} AND {orders.discount_code_id} IS NOT NULL
              GROUP BY {orders.discount_code_id}) AS o
    ON o.code = d.{discount_codes.id}
 WHERE NOT d.{discount_codes.used_count} <=> COALESCE(o.counted, 0)
 ORDER BY d.{discount_codes.id}
 LIMIT 100
