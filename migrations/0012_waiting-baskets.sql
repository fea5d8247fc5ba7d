-- A basket with reserve "activation" waits for a person: until it is activated it holds nothing, and expires_at is the end
-- of its link. link_expires_at stays when it has been activated, since its links are made of it; null: reserve "creation".
-- recreated_as is the basket that was made from an ended one.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE baskets
  ADD COLUMN waiting          boolean NOT NULL DEFAULT false,
  ADD COLUMN link_expires_at  timestamptz(3),
  ADD COLUMN recreated_as     text COLLATE "C",
  -- A build that does not know the columns cannot activate a basket that waits, which would sell what is not there.
  -- Not valid: the rows that there are need no look, which would take as long as there are rows.
  ADD CONSTRAINT baskets_waiting_hold_nothing
    CHECK (NOT waiting OR (status IN ('open', 'expired', 'cancelled') AND cardinality(hold_stock_ids) = 0)) NOT VALID;
