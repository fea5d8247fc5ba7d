-- How Redis stands to this database. The number that fences Redis is its own: it touches no link.
ALTER TABLE service_state
  ADD COLUMN redis_epoch      bigint NOT NULL DEFAULT 0,      -- every script carries it; another one in Redis is refused
  ADD COLUMN redis_servers    text[],                         -- who had each partition when the epoch began
  ADD COLUMN redis_former     text[] NOT NULL DEFAULT '{}',   -- who had one before, latest first
  ADD COLUMN redis_tick       bigint NOT NULL DEFAULT 0,      -- counts comparisons; Redis ahead of it: this is a backup
  ADD COLUMN redis_ticked_at  timestamptz NOT NULL DEFAULT '-infinity';
