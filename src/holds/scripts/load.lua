-- Sets a stock row to what Postgres says of it.
-- KEYS[1]     stock row
-- ARGV[1]     capacity, or "unlimited"
-- ARGV[2]     held + sold
-- Outcomes:   loaded
local taken = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'capacity', ARGV[1], 'taken', taken)
return 'loaded'
