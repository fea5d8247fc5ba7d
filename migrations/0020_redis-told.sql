-- Which changes of baskets Redis was told of a second time, in case it did not hear of them when they were made; null: of
-- none yet, and it begins with those to come.
SET LOCAL lock_timeout = '2s';
ALTER TABLE service_state ADD COLUMN redis_told pg_snapshot;
