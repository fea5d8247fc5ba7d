-- Lists baskets whose deadline has passed by Redis' clock, and puts them off, so that of several sweepers each gets
-- others; those of one that dies come again. Only says where to look: Postgres decides.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     how many at most
-- ARGV[3]     milliseconds until they are listed again
-- Outcomes:   due, then the baskets
local limit, putOff = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local members = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, limit)

for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], now + putOff, member)
end
return { 'due', unpack(members) }
