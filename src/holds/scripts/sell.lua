-- Turns holds into sales: the stock stays taken, and nobody looks at the baskets' deadlines again. Idempotent: without the
-- hold there is nothing to sell.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  baskets, "<shop>/<basket>"
-- Outcomes:   sold
for i = 2, #ARGV do
  local state, _, takes = hold_of(ARGV[i])
  if state then
    count(ARGV[i], takes, state, -1)
    count(ARGV[i], takes, 'sold', 1)
  end
end

write_rows()
for i = 2, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('ZREM', KEYS[1], ARGV[i])
end
return { 'sold' }
