-- How far Stripe's events are known to be committed, one row a mode. Never written by the routes.
CREATE TABLE IF NOT EXISTS reconciliation (
  mode        VARCHAR(8)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'live or test',
  watermark   DATETIME    NOT NULL COMMENT 'UTC; what Stripe created before is committed',
  listed_from DATETIME    NULL COMMENT 'UTC; set while a listing is unfinished: older ones are to be listed',
  updated_at  DATETIME(6) NOT NULL COMMENT 'UTC',
  PRIMARY KEY (mode)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
