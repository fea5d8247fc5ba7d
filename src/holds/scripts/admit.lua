-- Admits a basket: all of its lines or none. Idempotent by basket: a second run finds the hold and changes nothing.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     basket, "<shop>/<basket>"
-- ARGV[3]     milliseconds until the provisional deadline
-- ARGV[4]     takes, "<stock>=<quantity> …"
-- Outcomes:   admitted | already | rebuilding | unknown_stock | sold_out, then pairs of (stock, available)
local provisional = tonumber(ARGV[3])
if redis.call('HGET', KEYS[3], '@ready') ~= '1' then
  return { 'rebuilding' }
end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
  return { 'already' }
end

local shop = string.match(ARGV[2], '^[^/]+/')
local short = { 'sold_out' }
for stock, quantity in string.gmatch(ARGV[4], '(%S+)=(%d+)') do
  local row = row_of(shop, stock)
  if not row then
    return { 'unknown_stock' }
  end
  local taken = row.held + row.admitted + row.sold
  if row.capacity and taken + tonumber(quantity) > row.capacity then
    short[#short + 1] = stock
    short[#short + 1] = math.max(0, row.capacity - taken)
  end
end
if #short > 1 then
  return short
end

local deadline = now_ms() + provisional
count(ARGV[2], ARGV[4], 'admitted', 1)
write_rows()
redis.call('HSET', KEYS[2], ARGV[2], 'admitted 0 ' .. ARGV[4])
redis.call('ZADD', KEYS[1], deadline, ARGV[2])
return { 'admitted' }
