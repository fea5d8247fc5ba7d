-- Gift cards. The money of a card is a row of stock, 'giftCard:<card_id>', in minor units: held by baskets that would pay with
-- it, sold when they have. The number itself is never kept.
CREATE TABLE gift_cards (
  shop_id      text COLLATE "C" NOT NULL REFERENCES shops,
  card_id      text COLLATE "C" NOT NULL,
  number_hash  bytea,                                -- HMAC-SHA-256 with a key derived from DATA_KEYS; null: deleted
  last4        text NOT NULL,
  currency     text NOT NULL,
  created_at   timestamptz(3) NOT NULL DEFAULT now(),
  updated_at   timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, card_id),
  CONSTRAINT gift_cards_number_once UNIQUE (shop_id, number_hash)
);

-- What put money on a card and took it off; the sum is what is left on it. What baskets hold is not spent yet. No foreign
-- key: whoever completes a basket has locked stock, and must not wait for a card that somebody changes, who waits for stock.
CREATE TABLE gift_card_entries (
  shop_id     text COLLATE "C" NOT NULL,
  card_id     text COLLATE "C" NOT NULL,
  entry_id    bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  kind        text NOT NULL CHECK (kind IN ('issued', 'changed', 'spent', 'given_back')),
  amount      bigint NOT NULL,                       -- minor units, negative for what was taken off
  basket_id   text COLLATE "C",                      -- of what was spent and given back
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, card_id, entry_id)
);

-- The cards of a basket in the order in which they were given, each with what it takes of them. As with codes, cards are
-- issued once all replicas know them.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE baskets ADD COLUMN gift_cards json NOT NULL DEFAULT '[]';
