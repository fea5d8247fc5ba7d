-- Corrects the deadline of a basket that was looked at too early, to a second from now at the soonest, so that a Redis
-- clock which runs ahead does not make the sweeper turn in circles.
-- KEYS[1]     deadlines of the partition
-- ARGV[1]     member of the deadlines
-- ARGV[2]     deadline in Unix milliseconds
-- Outcomes:   reminded
local deadline = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], math.max(deadline, now + 1000), ARGV[1])
return 'reminded'
