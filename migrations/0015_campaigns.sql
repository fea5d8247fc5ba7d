-- What a campaign has come to is counted over its baskets alone. Built while everybody goes on working (CONCURRENTLY), which
-- is why these statements stand alone in their migration. The first takes away what an interrupted try has left.
DROP INDEX CONCURRENTLY IF EXISTS baskets_by_campaign;
CREATE INDEX CONCURRENTLY baskets_by_campaign ON baskets (shop_id, campaign) WHERE campaign IS NOT NULL;
