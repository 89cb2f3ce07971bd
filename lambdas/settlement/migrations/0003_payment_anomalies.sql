-- Payments that could not be settled and wait for a person. One row a kind and session, however
-- often the event is delivered; session_id holds the event's id where the event names no session.
CREATE TABLE IF NOT EXISTS payment_anomalies (
  id                BIGINT       NOT NULL AUTO_INCREMENT,
  kind              VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  session_id        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  order_id          BIGINT       NULL,
  payment_intent_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  amount            BIGINT       NULL COMMENT 'minor units of currency',
  currency          CHAR(3)      CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'ISO 4217, lower case',
  detail            VARCHAR(255) NOT NULL DEFAULT '',
  event_id          VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'the first that showed it',
  first_seen_at     DATETIME(6)  NOT NULL COMMENT 'UTC',
  resolved_at       DATETIME(6)  NULL COMMENT 'UTC; set by the operator',
  PRIMARY KEY (id),
  UNIQUE KEY payment_anomalies_kind_session (kind, session_id),
  KEY payment_anomalies_order (order_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
