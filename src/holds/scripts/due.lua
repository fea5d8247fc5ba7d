-- Lists baskets whose deadline has passed by Redis' clock. Only says where to look: Postgres decides.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     how many at most
-- Outcomes:   due, then the baskets
local limit = tonumber(ARGV[2])
return { 'due', unpack(redis.call('ZRANGEBYSCORE', KEYS[1], 0, now_ms(), 'LIMIT', 0, limit)) }
