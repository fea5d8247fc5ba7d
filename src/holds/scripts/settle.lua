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
local outcome = 'settled'
if redis.call('EXISTS', KEYS[2]) == 0 then
  for i = 3, #KEYS do
    if redis.call('HEXISTS', KEYS[i], 'taken') == 1 then
      redis.call('HINCRBY', KEYS[i], 'taken', ARGV[i + 1])
    end
  end
  redis.call('SET', KEYS[2], ARGV[3])
  outcome = 'counted'
end
redis.call('ZADD', KEYS[1], deadline, ARGV[1])
return outcome
