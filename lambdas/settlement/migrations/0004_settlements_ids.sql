-- A shop's ids may be strings, a UUID say. The rebuilt table is as it was otherwise.
ALTER TABLE settlements
  MODIFY order_id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  MODIFY ticket_id        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  MODIFY discount_code_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL
