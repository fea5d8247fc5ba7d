-- Counts calls in a window that begins with the first one.
-- KEYS[1]     the count
-- ARGV[1]     length of the window in milliseconds
-- ARGV[2]     how many calls; 0 only asks
-- Outcomes:   the count, and how many milliseconds of the window are left
local window = tonumber(ARGV[1])
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], window)
  left = window
end
return { count, left }
