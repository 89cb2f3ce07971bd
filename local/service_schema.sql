-- The service's own three tables. The service owns and migrates them; this copy stands in for it in
-- the tests, the benchmarks and the local cloud. Their CREATE TABLE is not public: names and units
-- are those of the service's code, the other types are what it implies.
--
-- Totals are in euros, not in cents; there is no currency, because every checkout is in euros; and
-- no key on the payment intent. No foreign keys: one from ticket_orders to tickets makes every new
-- order wait behind the row that settlement counts in.

CREATE TABLE tickets (
  id            BIGINT        NOT NULL AUTO_INCREMENT,
  event_id      BIGINT        NOT NULL DEFAULT 1,
  name          VARCHAR(255)  NOT NULL DEFAULT '',
  price         DECIMAL(10,2) NOT NULL DEFAULT 0,
  max_quantity  INT           NULL COMMENT 'null: unlimited',
  sold_quantity INT           NOT NULL DEFAULT 0,
  is_active     TINYINT(1)    NOT NULL DEFAULT 1,
  created_at    DATETIME      NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at    DATETIME      NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE discount_codes (
  id             BIGINT                       NOT NULL AUTO_INCREMENT,
  event_id       BIGINT                       NOT NULL DEFAULT 1,
  code           VARCHAR(64)                  NOT NULL DEFAULT '',
  discount_type  ENUM('percentage', 'fixed')  NOT NULL DEFAULT 'percentage',
  discount_value DECIMAL(10,2)                NOT NULL DEFAULT 0,
  max_uses       INT                          NULL COMMENT 'null: unlimited',
  used_count     INT                          NOT NULL DEFAULT 0,
  valid_from     DATETIME                     NULL,
  valid_until    DATETIME                     NULL,
  is_active      TINYINT(1)                   NOT NULL DEFAULT 1,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE ticket_orders (
  id                         BIGINT        NOT NULL AUTO_INCREMENT,
  event_id                   BIGINT        NOT NULL DEFAULT 1,
  ticket_id                  BIGINT        NOT NULL,
  user_id                    BIGINT        NULL,
  cognito_sub                VARCHAR(255)  NULL,
  email                      VARCHAR(255)  NULL,
  quantity                   INT           NOT NULL DEFAULT 1,
  unit_price                 DECIMAL(10,2) NOT NULL DEFAULT 0,
  discount_amount            DECIMAL(10,2) NOT NULL DEFAULT 0,
  discount_code_id           BIGINT        NULL,
  total_amount               DECIMAL(10,2) NOT NULL COMMENT 'in euros',
  status                     VARCHAR(50)   NOT NULL DEFAULT 'pending',
  stripe_checkout_session_id VARCHAR(255)  NULL,
  stripe_payment_intent_id   VARCHAR(255)  NULL,
  validated                  TINYINT(1)    NOT NULL DEFAULT 0,
  validated_at               DATETIME      NULL,
  created_at                 DATETIME      NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at                 DATETIME      NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY ticket_orders_ticket (ticket_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
