-- Makes Redis agree that a basket holds its stock until a deadline. Counts the stock only if the hold is not known yet,
-- so that a basket which was committed without an admission is counted once, however often this runs.
-- KEYS[1]     deadlines of the partition
-- KEYS[2]     hold of the basket
-- KEYS[3...]  stock rows
-- ARGV[1]     member of the deadlines
-- ARGV[2]     deadline in Unix milliseconds
-- ARGV[3]     the hold as text
-- ARGV[4...]  quantities, one per stock row
-- Outcomes:   settled | counted
local deadline = tonumber(ARGV[2])
local known = redis.call('EXISTS', KEYS[2]) == 1
local counted = {}
for i = 3, #KEYS do
  if not known and redis.call('HEXISTS', KEYS[i], 'taken') == 1 then
    counted[KEYS[i]] = tonumber(ARGV[i + 1])
  end
end

redis.call('ZADD', KEYS[1], deadline, ARGV[1])
if known then
  return 'settled'
end
for row, quantity in pairs(counted) do
  redis.call('HINCRBY', row, 'taken', quantity)
end
redis.call('SET', KEYS[2], ARGV[3])
return 'counted'
