-- Which order an event was for, and when it was last delivered; processed_at is the first time.
ALTER TABLE stripe_events
  ADD COLUMN IF NOT EXISTS order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD COLUMN IF NOT EXISTS last_processed_at DATETIME(6) NULL COMMENT 'UTC',
  ADD INDEX IF NOT EXISTS stripe_events_order (order_id)
