-- Record how far reconciliation has come in a mode: one transaction, safe to run again. The
-- watermark never goes back. Returns one row, (what, mode, run).
BEGIN NOT ATOMIC
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  INSERT INTO reconciliation (mode, watermark, listed_from, updated_at)
  VALUES (%(mode)s, %(watermark)s, %(listed_from)s, %(now)s)
  ON DUPLICATE KEY UPDATE watermark = GREATEST(watermark, %(watermark)s),
                          listed_from = %(listed_from)s, updated_at = %(now)s;
  COMMIT;
  SELECT 'kept', %(mode)s, %(run)s;
END
