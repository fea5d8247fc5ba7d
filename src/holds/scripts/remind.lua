-- Corrects the deadlines of baskets that were looked at too early, to a second from now at the soonest, so that a Redis
-- clock which runs ahead does not make the sweeper turn in circles.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per basket: "<shop>/<basket>", deadline in Unix milliseconds
-- Outcomes:   reminded
local soonest = now_ms() + 1000
local deadlines = {}
for i = 2, #ARGV, 2 do
  deadlines[ARGV[i]] = math.max(tonumber(ARGV[i + 1]), soonest)
end

for member, deadline in pairs(deadlines) do
  redis.call('ZADD', KEYS[1], deadline, member)
end
return { 'reminded' }
