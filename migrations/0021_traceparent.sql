-- In which trace a change was made, so that the deliveries of it can go on there; null where nobody traces. The setting is
-- the transaction's own (src/platform/tracing.ts). Set apart from the column, so that nothing is rewritten.
SET LOCAL lock_timeout = '2s';
ALTER TABLE outbox ADD COLUMN traceparent text COLLATE "C";
ALTER TABLE outbox ALTER COLUMN traceparent SET DEFAULT nullif(current_setting('basketlink.traceparent', true), '');
