-- Transactions that have been open for a minute or more: (thread, seconds), the oldest first.
-- Needs the privilege PROCESS. What they run is not read: it may hold personal data.
SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, SYSDATE())
  FROM information_schema.INNODB_TRX
 WHERE trx_started <= SYSDATE() - INTERVAL 60 SECOND
 ORDER BY trx_started
 LIMIT 20
