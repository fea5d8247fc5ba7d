-- Says that the partition has everything that Postgres had at a tick.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     tick
-- Outcomes:   marked
redis.call('HSET', KEYS[3], '@ready', '1', '@tick', ARGV[2])
return { 'marked' }
