-- By how much a capacity was changed at once, why, and by whom.
CREATE TABLE stock_adjustments (
  shop_id        text COLLATE "C" NOT NULL,
  stock_id       text COLLATE "C" NOT NULL,
  adjustment_id  bigint GENERATED ALWAYS AS IDENTITY,
  delta          integer NOT NULL,
  capacity       integer NOT NULL,                   -- what it came to
  reason         text NOT NULL,
  made_by        text NOT NULL,                      -- `sub` of the JWT, or the API key
  created_at     timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, stock_id, adjustment_id)
);
