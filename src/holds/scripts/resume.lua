-- Takes back what stopped events, but not where they have been stopped again since.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2...]  per event: "<shop>/event:<event>", the text by which it was stopped
-- Outcomes:   resumed
local same = {}
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[i + 1] then
    same[#same + 1] = ARGV[i]
  end
end

for _, event in ipairs(same) do
  redis.call('HDEL', KEYS[3], event)
end
return { 'resumed' }
