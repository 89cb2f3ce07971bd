-- The service's own three tables, as far as settlement relies on them. The service owns and migrates
-- them; this copy stands in for it in the tests, the benchmark and the local cloud.
--
-- No foreign keys between them: one from ticket_orders to tickets makes every new order wait behind
-- the row that settlement counts in. Stripe's ids are ascii_bin: a case-insensitive collation would
-- take pi_A and pi_a for the same payment.

CREATE TABLE tickets (
  id            BIGINT       NOT NULL AUTO_INCREMENT,
  name          VARCHAR(255) NOT NULL DEFAULT '',
  sold_quantity BIGINT       NOT NULL DEFAULT 0,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE discount_codes (
  id         BIGINT      NOT NULL AUTO_INCREMENT,
  code       VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  used_count BIGINT      NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY discount_codes_code (code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE ticket_orders (
  id                       BIGINT       NOT NULL AUTO_INCREMENT,
  status                   VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'pending',
  ticket_id                BIGINT       NOT NULL,
  quantity                 INT          NOT NULL DEFAULT 1,
  discount_code_id         BIGINT       NULL,
  total_amount             BIGINT       NOT NULL COMMENT 'in the minor unit of the currency',
  currency                 CHAR(3)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'lower case',
  stripe_payment_intent_id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  paid_at                  DATETIME(6)  NULL COMMENT 'UTC',
  created_at               DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id),
  UNIQUE KEY ticket_orders_payment_intent (stripe_payment_intent_id),
  KEY ticket_orders_ticket (ticket_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
