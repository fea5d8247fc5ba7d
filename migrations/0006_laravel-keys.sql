-- The keys of links in Laravel's format with the parameters that these links ignore, encrypted with DATA_KEYS.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE shops ADD COLUMN laravel_keys text;
