-- A shop's order id may be a string; and what became of an anomaly, by whom, and why.
ALTER TABLE payment_anomalies
  MODIFY order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD COLUMN IF NOT EXISTS resolution VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'settled: later, by the same payment; or the operator''s word',
  ADD COLUMN IF NOT EXISTS resolved_by VARCHAR(255) NULL COMMENT 'the operator; null: nobody had to',
  ADD COLUMN IF NOT EXISTS resolution_note VARCHAR(1000) NULL
