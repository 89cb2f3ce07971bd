-- Say how far reconciliation has come in a mode. Returns one row, (watermark, listed from, mode);
-- without a watermark before the first run.
SELECT MAX(watermark), MAX(listed_from), %(mode)s FROM reconciliation WHERE mode = %(mode)s
