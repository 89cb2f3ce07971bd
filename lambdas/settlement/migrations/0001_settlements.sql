-- One row an order that was settled, written in the transaction that settled it and never changed.
-- No foreign key: one to tickets deadlocks with the counter update.
-- Stripe ids compare byte by byte: under the default collation Evt_A equals evt_a.
CREATE TABLE IF NOT EXISTS settlements (
  order_id          BIGINT       NOT NULL,
  payment_intent_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'null: nothing was to be paid',
  session_id        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  ticket_id         BIGINT       NOT NULL,
  quantity          INT          NOT NULL,
  discount_code_id  BIGINT       NULL,
  amount            BIGINT       NOT NULL COMMENT 'minor units of currency',
  currency          CHAR(3)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217, lower case',
  event_id          VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  route             VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'eventbridge or webhook',
  settled_at        DATETIME(6)  NOT NULL COMMENT 'UTC',
  PRIMARY KEY (order_id),
  UNIQUE KEY settlements_payment_intent (payment_intent_id),
  UNIQUE KEY settlements_session (session_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
