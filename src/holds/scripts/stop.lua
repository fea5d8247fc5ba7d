-- Stops events: clicks on the links of their baskets are for Postgres to answer.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  events, "<shop>/event:<event>"
-- Outcomes:   stopped
local time = redis.call('TIME')
for i = 2, #ARGV do
  redis.call('HSET', KEYS[3], ARGV[i], time[1] .. '.' .. time[2])
end
return { 'stopped' }
