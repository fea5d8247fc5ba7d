-- What of a basket could not be had when recreated_as was made of it, as it was answered.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE baskets ADD COLUMN recreated_without json;
