-- The highest number that a line of the basket ever had, so that no line gets the id of one that was taken out.
-- 0: not edited since it was created, then its lines say it. Builds that do not know the column edit no lines.

-- Whoever wants the table queues behind this statement. Rather fail, and be run again, than keep them waiting.
SET LOCAL lock_timeout = '2s';
ALTER TABLE baskets ADD COLUMN last_line_number integer NOT NULL DEFAULT 0;
