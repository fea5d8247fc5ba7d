-- Codes that change what a basket costs or may hold. What is used of one is counted by a row of stock, 'discount:<code>' or
-- 'access:<code>', and 'discount:<code>/<customer>' where each customer has a limit: a use is held, sold and given back as
-- stock is.
CREATE TABLE codes (
  shop_id     text COLLATE "C" NOT NULL REFERENCES shops,
  type        text NOT NULL CHECK (type IN ('discount', 'access', 'creator')),
  code        text COLLATE "C" NOT NULL,             -- in capitals, which is how codes are compared
  written     text COLLATE "C" NOT NULL,             -- as the shop writes it, and customers see it
  terms       json NOT NULL,
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  updated_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, type, code)
);

-- The codes of a basket in the order in which they were given, with their terms as they were then and the stock that they
-- take. A build that does not know the column takes no codes; where it edits a basket that has some, their uses are given
-- back and taken again by the next edit of a build that does. So codes are made once all replicas know them.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE baskets ADD COLUMN codes json NOT NULL DEFAULT '[]';
