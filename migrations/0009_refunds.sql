-- Refunds that were made elsewhere: what was given back of a completed basket, line by line.
CREATE TABLE refunds (
  shop_id            text COLLATE "C" NOT NULL,
  basket_id          text COLLATE "C" NOT NULL,
  refund_id          text COLLATE "C" NOT NULL,
  payment_reference  text COLLATE "C",
  lines              json NOT NULL,                  -- lineId, itemId, stockId, quantity, amount in minor units
  restocked          boolean NOT NULL,               -- whether the units went from sold back on sale
  created_at         timestamptz(3) NOT NULL,
  PRIMARY KEY (shop_id, basket_id, refund_id),
  CONSTRAINT refunds_reference_once UNIQUE (shop_id, basket_id, payment_reference),
  FOREIGN KEY (shop_id, basket_id) REFERENCES baskets
);
