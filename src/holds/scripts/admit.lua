-- Admits a basket: all of its lines or none. Idempotent by basket: a second run finds the hold and changes nothing.
-- KEYS[1]     deadlines of the partition
-- KEYS[2]     hold of the basket
-- KEYS[3...]  stock rows
-- ARGV[1]     member of the deadlines
-- ARGV[2]     milliseconds until the provisional deadline
-- ARGV[3]     the hold as text
-- ARGV[4...]  quantities, one per stock row
-- Outcomes:   admitted | already | unknown_stock | sold_out, then pairs of (index from 0, available)
local provisional = tonumber(ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'already' }
end

local short = { 'sold_out' }
for i = 3, #KEYS do
  local quantity = tonumber(ARGV[i + 1])
  local row = redis.call('HMGET', KEYS[i], 'capacity', 'taken')
  local taken = tonumber(row[2])
  if not row[1] or not taken or not quantity then
    return { 'unknown_stock' }
  end
  local capacity = tonumber(row[1])
  if capacity and taken + quantity > capacity then
    short[#short + 1] = i - 3
    short[#short + 1] = math.max(0, capacity - taken)
  end
end
if #short > 1 then
  return short
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First what can still fail, on a key of another type: nothing that a script has written is rolled back.
redis.call('ZADD', KEYS[1], now + provisional, ARGV[1])
for i = 3, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'taken', ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[3])
return { 'admitted' }
