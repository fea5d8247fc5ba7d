-- Finds the ended baskets of a customer, to remove what tells of a person from them. Live baskets are not in it, so that
-- creating and editing cost what they did.

-- Changes of baskets wait while an index is built: about a second for a million of them. Where that is too long, build it
-- beforehand under this name with CREATE INDEX CONCURRENTLY; then nothing is left to do here.
SET LOCAL lock_timeout = '2s';
CREATE INDEX IF NOT EXISTS baskets_ended_by_customer ON baskets (shop_id, customer_id, basket_id)
  WHERE customer_id IS NOT NULL AND status IN ('completed', 'expired', 'cancelled');
