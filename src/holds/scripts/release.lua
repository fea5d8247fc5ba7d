-- Gives a basket's stock back. Idempotent: without the hold there is nothing to give back.
-- KEYS[1]     deadlines of the partition
-- KEYS[2]     hold of the basket
-- KEYS[3...]  stock rows
-- ARGV[1]     member of the deadlines
-- ARGV[2...]  quantities, one per stock row
-- Outcomes:   released | unknown_hold
local counted = {}
for i = 3, #KEYS do
  if redis.call('HEXISTS', KEYS[i], 'taken') == 1 then
    counted[KEYS[i]] = tonumber(ARGV[i - 1])
  end
end

redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('DEL', KEYS[2]) == 0 then
  return 'unknown_hold'
end
for row, quantity in pairs(counted) do
  redis.call('HINCRBY', row, 'taken', -quantity)
end
return 'released'
