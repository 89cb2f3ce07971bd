-- What came of each event, for reading. Correctness never depends on it.
CREATE TABLE IF NOT EXISTS stripe_events (
  event_id     VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  type         VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  route        VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'eventbridge or webhook',
  api_version  VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  outcome      VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  processed_at DATETIME(6)  NOT NULL COMMENT 'UTC',
  PRIMARY KEY (event_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
