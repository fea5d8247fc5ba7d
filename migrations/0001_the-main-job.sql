-- Every table of a tenant is keyed by shop_id first: that is also how a distributed Postgres shards it.
-- Ids are compared byte by byte (COLLATE "C"): one order everywhere, for locks and for lists.
-- Times have milliseconds, as the API shows them. json keeps a document as it was written; nothing searches inside.

-- One row about the service itself.
CREATE TABLE service_state (
  singleton            boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  oldest_usable_build  integer NOT NULL DEFAULT 1,   -- the last migration that a build must know to use this schema
  epoch                integer NOT NULL DEFAULT 1    -- the high part of every link generation
);
INSERT INTO service_state DEFAULT VALUES;

CREATE TABLE shops (
  shop_id       text COLLATE "C" PRIMARY KEY,
  shop_number   integer NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,   -- what tokens carry instead of the id
  version       bigint NOT NULL DEFAULT 1,
  settings      json NOT NULL,
  public_token  text COLLATE "C" NOT NULL UNIQUE,
  created_at    timestamptz(3) NOT NULL DEFAULT now(),
  updated_at    timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE events (
  shop_id        text COLLATE "C" NOT NULL REFERENCES shops,
  event_id       text COLLATE "C" NOT NULL,
  name           text NOT NULL,
  starts_at      timestamptz(3),
  status         text NOT NULL CHECK (status IN ('scheduled', 'suspended', 'cancelled')),
  baskets_ended  boolean NOT NULL DEFAULT false,     -- after a cancellation: whether its live baskets have been ended
  created_at     timestamptz(3) NOT NULL DEFAULT now(),
  updated_at     timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, event_id)
);
CREATE INDEX events_to_end ON events (shop_id, event_id) WHERE status = 'cancelled' AND NOT baskets_ended;

-- A capacity with what is held and sold of it; 'item:<id>' or 'pool:<id>'. Overselling is a constraint violation.
-- catalogue_version changes with everything that decides whether the items on this stock may be sold, so that a
-- creation which holds the row's lock knows that what it read of them is still true.
CREATE TABLE stock (
  shop_id            text COLLATE "C" NOT NULL REFERENCES shops,
  stock_id           text COLLATE "C" NOT NULL,
  capacity           integer CHECK (capacity >= 0),
  held               integer NOT NULL DEFAULT 0 CHECK (held >= 0),
  sold               integer NOT NULL DEFAULT 0 CHECK (sold >= 0),
  catalogue_version  bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (shop_id, stock_id),
  CONSTRAINT stock_not_oversold CHECK (capacity IS NULL OR held + sold <= capacity)
) WITH (fillfactor = 50);   -- hot rows: updates stay on their page

CREATE TABLE pools (
  shop_id     text COLLATE "C" NOT NULL REFERENCES shops,
  pool_id     text COLLATE "C" NOT NULL,
  name        text NOT NULL,
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  updated_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, pool_id)
);

CREATE TABLE items (
  shop_id           text COLLATE "C" NOT NULL REFERENCES shops,
  item_id           text COLLATE "C" NOT NULL,
  name              text NOT NULL,
  event_id          text COLLATE "C",
  pool_id           text COLLATE "C",
  stock_id          text COLLATE "C" NOT NULL,
  price             integer NOT NULL CHECK (price >= 0),                                    -- minor units
  tax_rate_e4       integer NOT NULL DEFAULT 0 CHECK (tax_rate_e4 BETWEEN 0 AND 10000),     -- ten-thousandths
  max_per_basket    integer NOT NULL CHECK (max_per_basket >= 1),
  type              text NOT NULL CHECK (type IN ('single', 'subscription')),
  sale_starts_at    timestamptz(3),
  sale_ends_at      timestamptz(3),
  access_required   boolean NOT NULL,
  description       text NOT NULL,
  image             text,
  package_id        integer,
  variables         json NOT NULL,
  created_at        timestamptz(3) NOT NULL DEFAULT now(),
  updated_at        timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, item_id),
  CONSTRAINT items_package_id_once UNIQUE (shop_id, package_id),
  FOREIGN KEY (shop_id, event_id) REFERENCES events,
  FOREIGN KEY (shop_id, pool_id) REFERENCES pools,
  FOREIGN KEY (shop_id, stock_id) REFERENCES stock
);
CREATE INDEX items_by_event ON items (shop_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX items_by_stock ON items (shop_id, stock_id);

-- The basket's row is its hold: status and expires_at decide alone what is held. A live row holds
-- hold_quantities[n] of hold_stock_ids[n]; a completed one has sold them; any other has given them back.
CREATE TABLE baskets (
  shop_id                text COLLATE "C" NOT NULL REFERENCES shops,
  basket_id              text COLLATE "C" NOT NULL,
  partner                text COLLATE "C",
  status                 text NOT NULL
                         CHECK (status IN ('open', 'activated', 'checkout', 'completed', 'expired', 'cancelled')),
  status_reason          text,
  version                integer NOT NULL,
  sequence               integer NOT NULL,           -- of the last outbox row about this basket
  customer_id            text COLLATE "C",
  reference              text COLLATE "C",
  campaign               text COLLATE "C",
  order_id               text COLLATE "C",
  hold_stock_ids         text[] COLLATE "C" NOT NULL,
  hold_quantities        integer[] NOT NULL,
  event_ids              text[] COLLATE "C" NOT NULL,
  lines                  json NOT NULL,
  content                json NOT NULL,              -- what the creator said and nothing decides on
  link_generation        bigint NOT NULL,            -- epoch in the high 32 bits; links of another generation are revoked
  lifetime_ends_at       timestamptz(3) NOT NULL,    -- no edit or extension goes past this
  ttl_seconds            integer NOT NULL,
  checkout_seconds       integer NOT NULL,
  extensions_left        integer NOT NULL,
  -- The link logs its customer in only if all three had the scope customers:login.
  creator_may_log_in          boolean NOT NULL,
  customer_setter_may_log_in  boolean NOT NULL,
  link_minter_may_log_in      boolean NOT NULL,
  session_id             bytea,                      -- the confirmation token behind the present session
  session_issued_at      timestamptz(3),
  session_customer_id    text COLLATE "C",           -- who the shop said is signed in; null: nobody yet
  lease_id               text COLLATE "C",
  expires_at_before_checkout  timestamptz(3),
  created_at             timestamptz(3) NOT NULL,
  updated_at             timestamptz(3) NOT NULL,
  expires_at             timestamptz(3) NOT NULL,
  activated_at           timestamptz(3),
  completed_at           timestamptz(3),
  ended_at               timestamptz(3),             -- when it became completed, expired or cancelled
  refunded_at            timestamptz(3),
  late                   boolean NOT NULL DEFAULT false,
  completion_refused     boolean NOT NULL DEFAULT false,   -- once expired_stock_gone was said, it stays said
  PRIMARY KEY (shop_id, basket_id),
  CHECK (cardinality(hold_stock_ids) = cardinality(hold_quantities)),
  CHECK ((status = 'completed') = (order_id IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX baskets_live_by_expiry ON baskets (expires_at) WHERE status IN ('open', 'activated', 'checkout');
CREATE INDEX baskets_live_by_customer ON baskets (shop_id, customer_id)
  WHERE status IN ('open', 'activated', 'checkout') AND customer_id IS NOT NULL;
CREATE INDEX baskets_live_by_partner ON baskets (shop_id, partner)
  WHERE status IN ('open', 'activated', 'checkout') AND partner IS NOT NULL;
CREATE INDEX baskets_by_reference ON baskets (shop_id, reference) WHERE reference IS NOT NULL;

CREATE TABLE orders (
  shop_id            text COLLATE "C" NOT NULL,
  order_id           text COLLATE "C" NOT NULL,
  basket_id          text COLLATE "C" NOT NULL,
  amount             bigint NOT NULL,                -- what was due, in minor units
  fees               bigint NOT NULL,
  currency           text NOT NULL,
  payment_reference  text,
  customer_id        text COLLATE "C",
  created_at         timestamptz(3) NOT NULL,
  PRIMARY KEY (shop_id, order_id),
  UNIQUE (shop_id, basket_id),
  FOREIGN KEY (shop_id, basket_id) REFERENCES baskets
);

CREATE TABLE spent_confirmations (
  shop_id         text COLLATE "C" NOT NULL REFERENCES shops,
  confirmation_id bytea NOT NULL,
  spent_at        timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, confirmation_id)
);

-- One row per change of state, written in its transaction: the event that goes out, and the one stored snapshot that
-- stored answers are rendered from.
CREATE TABLE outbox (
  shop_id     text COLLATE "C" NOT NULL,
  subject_id  text COLLATE "C" NOT NULL,             -- a basket, or for event.cancelled an event
  sequence    integer NOT NULL,
  type        text NOT NULL,
  data        json NOT NULL,
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, subject_id, sequence)
);

CREATE TABLE idempotency_keys (
  shop_id      text COLLATE "C" NOT NULL,
  key_hash     bytea NOT NULL,                       -- of partner, method, path and key
  fingerprint  bytea NOT NULL,                       -- of the canonical JSON
  status       smallint,
  basket_id    text COLLATE "C",                     -- with sequence: the snapshot in outbox that was answered
  sequence     integer,
  answer       json,                                 -- what else the answer is made of; no secrets
  created_at   timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, key_hash)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
