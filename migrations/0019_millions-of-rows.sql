-- The feed of changes is read in the order of their numbers, page by page. Whoever reads it from the beginning, or after
-- having been away, read all that is left for each page before: 260 MB for each 100 of 200,000 changes, now 19 pages of
-- 8 KB. It costs 32 bytes a change, at the end of the index. Whoever is up to date still goes by outbox_by_transaction.
--
-- Built while everybody goes on working (CONCURRENTLY), which is why these statements are no transaction: those below wait
-- for nobody but a vacuum, and can be run again. The first takes away what an interrupted try has left.
DROP INDEX CONCURRENTLY IF EXISTS outbox_by_change;
CREATE INDEX CONCURRENTLY outbox_by_change ON outbox (shop_id, change_number);

-- By default a table is vacuumed when a fifth of its rows are dead. Until then whoever looks for the baskets that expire next
-- reads past all entries that baskets_live_by_expiry has of ended and extended ones: 20,000 made that look read 8,900 pages
-- instead of 2, and a fifth of a million are ten times as many. No update of a basket is HOT, whatever room its page has,
-- since status and time stand in indexes. Those of stock are, and clear their pages themselves: it stays as it is.
ALTER TABLE baskets SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Rows are inserted, and later removed by the thousand. A vacuum of many small ones is felt less than one that has to read
-- all that came in since, and the next plan knows what there is.
ALTER TABLE outbox SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE idempotency_keys SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.02);
