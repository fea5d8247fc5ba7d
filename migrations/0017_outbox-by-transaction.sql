-- Finds what was committed after a snapshot was taken. Built while everybody goes on working (CONCURRENTLY), which is why
-- these statements stand alone in their migration. The first takes away what an interrupted try has left.
DROP INDEX CONCURRENTLY IF EXISTS outbox_by_transaction;
CREATE INDEX CONCURRENTLY outbox_by_transaction ON outbox (shop_id, xact) WHERE xact IS NOT NULL;
