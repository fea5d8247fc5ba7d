-- Turns a hold into a sale: the stock stays taken, and nobody looks at the basket's deadline again.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     basket, "<shop>/<basket>"
-- Outcomes:   sold | unknown_hold
local state, _, takes = hold_of(ARGV[2])
if state then
  count(ARGV[2], takes, state, -1)
  count(ARGV[2], takes, 'sold', 1)
end

write_rows()
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[1], ARGV[2])
if state then
  return { 'sold' }
end
return { 'unknown_hold' }
