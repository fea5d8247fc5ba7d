-- Whether Redis may have missed something since its holds were compared with Postgres one by one.
ALTER TABLE service_state
  ADD COLUMN redis_doubted_at   timestamptz NOT NULL DEFAULT '-infinity',  -- a replica went on without Redis until then
  ADD COLUMN redis_compared_at  timestamptz NOT NULL DEFAULT '-infinity';  -- when the last such comparison began
