-- Tells a stock row's capacity, and loads what is taken of it if Redis does not know the row yet.
-- KEYS[1]     stock row
-- ARGV[1]     capacity, or "unlimited"
-- ARGV[2]     held + sold in Postgres
-- Outcomes:   updated | loaded
local taken = tonumber(ARGV[2])
if redis.call('HEXISTS', KEYS[1], 'taken') == 1 then
  redis.call('HSET', KEYS[1], 'capacity', ARGV[1])
  return 'updated'
end
redis.call('HSET', KEYS[1], 'capacity', ARGV[1], 'taken', taken)
return 'loaded'
