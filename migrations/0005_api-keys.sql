-- Credentials that a shop makes for its callers. The key itself is never kept: it has 256 random bits of its own, so that
-- a plain SHA-256 of it tells nothing.
CREATE TABLE api_keys (
  shop_id     text COLLATE "C" NOT NULL REFERENCES shops,
  api_key_id  text COLLATE "C" NOT NULL,
  key_hash    bytea NOT NULL,
  name        text NOT NULL,
  scopes      text[] NOT NULL,
  partner     text COLLATE "C",
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, api_key_id),
  CONSTRAINT api_keys_hash_once UNIQUE (shop_id, key_hash)
);
