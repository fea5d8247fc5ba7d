-- Lists baskets whose deadline has passed by Redis' clock. Only says where to look: Postgres decides.
-- KEYS[1]     deadlines of the partition
-- ARGV[1]     how many at most
-- Outcomes:   the members
local limit = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, limit)
