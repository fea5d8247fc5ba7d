-- Answers a click: gives what there is to know of a basket's link, where the basket is live as far as is known here and
-- none of its events is stopped. A basket that is not known is noted for 30 seconds, so that who asks Postgres about it
-- can tell whether it has ended meanwhile: that takes the note away.
-- KEYS        those of the partition, see fence.lua
-- ARGV[1]     epoch
-- ARGV[2]     basket, "<shop>/<basket>"
-- Outcomes:   follow, then its link | stopped | cold, then the text that says so
local text = redis.call('HGET', KEYS[2], ARGV[2])
local link = string.match(text or '', '^held %d+ (@%S+)')
if link then
  local shop = string.match(ARGV[2], '^[^/]+/')
  for event in string.gmatch(string.match(link, '^@%d+/%d+/%w*/(%S*)') or '', '[^,]+') do
    if redis.call('HEXISTS', KEYS[3], shop .. 'event:' .. event) == 1 then
      return { 'stopped' }
    end
  end
  return { 'follow', link }
end

if not text then
  local time = redis.call('TIME')
  local deadline = now_ms() + 30000
  text = 'cold ' .. time[1] .. time[2]
  redis.call('HSET', KEYS[2], ARGV[2], text)
  redis.call('ZADD', KEYS[1], deadline, ARGV[2])
end
return { 'cold', text }
