-- Where changes are sent to. A partner's own gets what happens to its baskets, the shop's own (partner null) everything.
CREATE TABLE webhooks (
  shop_id               text COLLATE "C" NOT NULL REFERENCES shops,
  webhook_number        bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  webhook_id            text COLLATE "C" NOT NULL,   -- given by the shop or partner
  partner               text COLLATE "C",
  url                   text NOT NULL,
  types                 text[] NOT NULL,             -- {*}: all
  format                text NOT NULL CHECK (format IN ('standard', 'tebex')),
  sealed_secret         text NOT NULL,               -- encrypted with DATA_KEYS
  former_sealed_secret  text,                        -- signs too until former_secret_until
  former_secret_until   timestamptz(3),
  seen                  pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),   -- what it sees has become deliveries
  failing_since         timestamptz(3),              -- the first failure after the last success
  disabled_at           timestamptz(3),
  disabled_reason       text CHECK (disabled_reason IN ('gone', 'failing')),
  missed                tstzmultirange NOT NULL DEFAULT '{}',   -- when it was disabled before: no deliveries were made then
  created_at            timestamptz(3) NOT NULL DEFAULT now(),
  updated_at            timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, webhook_number),
  CONSTRAINT webhooks_id_once UNIQUE NULLS NOT DISTINCT (shop_id, partner, webhook_id),
  CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
) WITH (fillfactor = 50);   -- hot rows: updates stay on their page

-- A change on its way to a webhook. What is sent is made of the outbox row each time, so that what is erased there is sent
-- nowhere. No foreign key to it: nothing takes outbox rows away.
CREATE TABLE deliveries (
  shop_id         text COLLATE "C" NOT NULL,
  webhook_number  bigint NOT NULL,
  delivery_id     text COLLATE "C" NOT NULL,
  subject_id      text COLLATE "C" NOT NULL,         -- with sequence: the outbox row
  sequence        integer NOT NULL,
  type            text NOT NULL,
  change_number   bigint NOT NULL,
  status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempts        json NOT NULL DEFAULT '[]',        -- the latest ones: at, responseStatus, durationMs, error
  attempt_count   integer NOT NULL DEFAULT 0,        -- since it was made, or asked for again
  next_try_at     timestamptz(3) NOT NULL DEFAULT now(),
  leased_until    timestamptz(3),                    -- being tried until then, by whoever set it
  created_at      timestamptz(3) NOT NULL DEFAULT now(),
  updated_at      timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (shop_id, webhook_number, delivery_id),
  CONSTRAINT deliveries_once UNIQUE (shop_id, webhook_number, subject_id, sequence),
  FOREIGN KEY (shop_id, webhook_number) REFERENCES webhooks ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX deliveries_to_try ON deliveries (shop_id, webhook_number, next_try_at, change_number)
  WHERE status = 'pending';
CREATE INDEX deliveries_to_purge ON deliveries (status, updated_at) WHERE status <> 'pending';

-- Changes get the transaction that commits them, and a number in the order in which they are made, which for one basket is
-- the order of its sequence. Defaults, so that the previous build's changes have them too; set apart from the columns, so
-- that nothing is rewritten. Rows from before have neither and are in no feed. The previous build says no partner: what it
-- does to a partner's basket reaches the shop alone, so partners begin when all replicas know webhooks.
CREATE SEQUENCE change_numbers;

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE outbox
  ADD COLUMN xact           xid8,
  ADD COLUMN change_number  bigint,
  ADD COLUMN partner        text COLLATE "C",
  ADD COLUMN epoch          integer NOT NULL DEFAULT 1;   -- a restored backup raises the default: other rows stay as they are
ALTER TABLE outbox
  ALTER COLUMN xact SET DEFAULT pg_current_xact_id(),
  ALTER COLUMN change_number SET DEFAULT nextval('change_numbers');
