-- Another team's tables, as little like the service's as settlement allows: other names, UUIDs,
-- minor units with a currency column, no discount codes, and keys of its own.

CREATE TABLE seats (
  seat_id  CHAR(36)        CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  taken    BIGINT UNSIGNED NOT NULL DEFAULT 0,
  capacity BIGINT UNSIGNED NULL,
  PRIMARY KEY (seat_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TABLE `Bookings$` (
  uuid         VARCHAR(64)  NOT NULL,
  seat         CHAR(36)     CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `number`     SMALLINT     NOT NULL DEFAULT 1,
  total_cents  BIGINT       NOT NULL,
  currency     CHAR(3)      NOT NULL COMMENT 'upper case',
  `state`      VARCHAR(32)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'new',
  intent       VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  `when`       DATETIME(6)  NULL,
  PRIMARY KEY (uuid),
  UNIQUE KEY bookings_intent (intent)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
